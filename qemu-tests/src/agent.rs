//! The command channel's guest side: a small shell script that a unit starts early in the boot.
//!
//! Script and unit travel as systemd credentials in the firmware tables, so that the image under test is exactly the
//! image that ships: it holds no test agent, and nothing about it has to be changed to drive it.

use image_builder::qemu::machine::Credential;

/// Name of the virtio-serial port, `/dev/virtio-ports/...` in the guest.
pub const PORT_NAME: &str = "org.slipway.test.0";

/// Name of a second port, for a person's shell; the agent leaves it alone.
pub const SHELL_PORT_NAME: &str = "org.slipway.shell.0";

/// How much output of one command is carried, in bytes, standard error included. More is an error, not a cut: half an
/// answer makes a test say something it has not seen.
pub const OUTPUT_LIMIT: usize = 1 << 20;

const SCRIPT: &str = include_str!("agent.sh");

// No default dependencies: it starts before the basic system is up and is there until the end of a shutdown.
const UNIT: &str = "[Unit]
Description=Command channel of the VM tests
DefaultDependencies=no
ConditionPathExists=!/etc/initrd-release
[Service]
ExecStart=/bin/bash /run/credentials/@system/slipway.test-agent
Restart=always
RestartSec=1
TasksMax=infinity
OOMPolicy=continue
";

const WANTS: &str = "[Unit]\nWants=slipway-test-agent.service\n";

/// What has to be handed to a guest so that it answers.
#[must_use]
pub fn credentials() -> Vec<Credential> {
    let script = SCRIPT.replace("@NAME@", PORT_NAME).replace("@LIMIT@", &OUTPUT_LIMIT.to_string());
    vec![
        Credential::new("slipway.test-agent", script),
        Credential::new("systemd.extra-unit.slipway-test-agent.service", UNIT),
        Credential::new("systemd.unit-dropin.sysinit.target", WANTS),
    ]
}
