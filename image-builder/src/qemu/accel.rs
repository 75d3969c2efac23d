//! Hardware virtualisation or emulation: probe, never guess.
//!
//! A present `/dev/kvm` proves nothing. There are machines where it opens, QEMU even starts a guest on it, and the
//! first real kernel dies, because the processor underneath has no virtualisation extension.

use std::fmt;
use std::fs::OpenOptions;

use super::PROGRAM;
use crate::cmd::Cmd;

/// How guest instructions are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// By QEMU's translator, many times slower.
    Tcg,
}

/// Why emulation was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `/dev/kvm` does not open for reading and writing.
    Device(String),
    /// The processor shows neither `vmx` nor `svm`.
    Processor,
    /// QEMU did not start with KVM.
    Start(String),
}

/// The decision and, when it is emulation, the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What to use.
    pub accel: Accel,
    /// Why not KVM.
    pub reason: Option<Reason>,
}

impl Accel {
    /// How much longer work in the guest may take than with KVM; time limits are multiplied by it.
    #[must_use]
    pub fn slowness(self) -> u32 {
        match self {
            Self::Kvm => 1,
            // Measured: a full boot takes 6 to 8 s with KVM and 60 to 75 s without, on an idle machine.
            Self::Tcg => 10,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            None => f.write_str("using KVM"),
            Some(Reason::Device(error)) => write!(f, "emulating the processor, expect a slow boot: /dev/kvm does not open ({error})"),
            Some(Reason::Processor) => {
                f.write_str("emulating the processor, expect a slow boot: it has no virtualisation extension (neither vmx nor svm)")
            }
            Some(Reason::Start(error)) => write!(f, "emulating the processor, expect a slow boot: QEMU does not start with KVM ({error})"),
        }
    }
}

/// Looks at this machine and decides.
#[must_use]
pub fn probe() -> Choice {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop).map_err(|error| error.to_string());
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    decide(device, &cpuinfo, try_kvm)
}

/// The rule, apart from the machine it is applied to. `start` is called only when everything else speaks for KVM.
fn decide(device: Result<(), String>, cpuinfo: &str, start: impl FnOnce() -> Result<(), String>) -> Choice {
    let verdict = device.map_err(Reason::Device).and_then(|()| if virtualises(cpuinfo) { Ok(()) } else { Err(Reason::Processor) });
    match verdict.and_then(|()| start().map_err(Reason::Start)) {
        Ok(()) => Choice { accel: Accel::Kvm, reason: None },
        Err(reason) => Choice { accel: Accel::Tcg, reason: Some(reason) },
    }
}

fn virtualises(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| key.trim() == "flags");
    flags.flat_map(|(_, words)| words.split_whitespace()).any(|word| word == "vmx" || word == "svm")
}

/// Starts an empty machine on KVM and asks it to quit at once.
fn try_kvm() -> Result<(), String> {
    Cmd::new(PROGRAM)
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "64"])
        .args(["-S", "-monitor", "stdio"])
        .run_with_input(|monitor| monitor.write_all(b"quit\n"))
        .map_err(|error| last_line(&error.to_string()))
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "processor\t: 0\nflags\t\t: fpu vmx sse2\n";
    const AMD: &str = "processor\t: 0\nflags\t\t: fpu svm sse2\n";
    const NESTED_OFF: &str = "processor\t: 0\nmodel name\t: Some vmx processor\nflags\t\t: fpu sse2 vmx_like\n";

    fn check(device: Result<(), &str>, cpuinfo: &str, start: Result<(), &str>, expected: Option<Reason>) {
        let choice = decide(device.map_err(str::to_owned), cpuinfo, || start.map_err(str::to_owned));
        assert_eq!(choice.accel, if expected.is_none() { Accel::Kvm } else { Accel::Tcg });
        assert_eq!(choice.reason, expected);
    }

    #[test]
    fn kvm_needs_the_device_the_processor_and_a_start() {
        check(Ok(()), INTEL, Ok(()), None);
        check(Ok(()), AMD, Ok(()), None);
        check(Ok(()), NESTED_OFF, Ok(()), Some(Reason::Processor));
        check(Ok(()), "", Ok(()), Some(Reason::Processor));
        check(Err("denied"), INTEL, Ok(()), Some(Reason::Device("denied".into())));
        check(Ok(()), INTEL, Err("no"), Some(Reason::Start("no".into())));
    }

    #[test]
    fn a_processor_without_virtualisation_is_never_tried() {
        decide(Ok(()), NESTED_OFF, || unreachable!("QEMU must not be started"));
    }
}
