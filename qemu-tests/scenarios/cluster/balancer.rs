//! A load balancer that follows the cluster.

use anyhow::{bail, ensure};
use camino::Utf8Path;
use qemu_tests::budget::Need;
use qemu_tests::scenario::{Scenario, When};
use qemu_tests::vm::Vm;

use super::archive;
use super::lab::{Cluster, FORM_SECS, IMAGE, SERVE, SERVICE_SECS, shell_word};

/// The example that the documentation gives to people.
const EXAMPLE: [(&str, &str); 4] = [
    ("/etc/slipway/render.d/haproxy.toml", include_str!("../../../cluster/render/examples/haproxy/haproxy.toml")),
    ("/etc/slipway/render.d/haproxy.cfg.j2", include_str!("../../../cluster/render/examples/haproxy/haproxy.cfg.j2")),
    ("/etc/systemd/system/haproxy.service", include_str!("../../../cluster/render/examples/haproxy/haproxy.service")),
    ("/etc/systemd/system/haproxy.path", include_str!("../../../cluster/render/examples/haproxy/haproxy.path")),
];
const HAPROXY: &str = "/usr/sbin/haproxy";
/// How long until the balancer knows what came or went; a dead machine's lease takes half a minute to end. In KVM seconds.
const FOLLOW_SECS: u64 = 60;
/// Requests of one look: with two backends, each gets half of them.
const REQUESTS: usize = 8;

pub(crate) const BALANCED: Scenario = Scenario::new(
    "haproxy_follows_backends_that_come_and_go",
    "HAProxy on one machine serves what containers on all machines announce: it follows those that start, stop or lose their machine, and \
              no request fails for one that stops in order.",
    |bench| {
        ensure!(Utf8Path::new(HAPROXY).exists(), "HAProxy is not installed here: `make setup` does that for tests");
        let haproxy = archive::of(&[HAPROXY.into()])?;
        let cluster = Cluster::new(bench, 3, 3)?.with_image()?.formed(bench, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        let balancer = one.guest();
        balancer.write_file("/root/haproxy.tar.gz".into(), &haproxy)?;
        balancer.check_for("docker import /root/haproxy.tar.gz slipway-test/haproxy && rm /root/haproxy.tar.gz", SERVICE_SECS)?;
        balancer.check("mkdir -p /etc/haproxy /etc/slipway/render.d && echo IMAGE=slipway-test/haproxy > /etc/haproxy/image")?;
        for (path, text) in EXAMPLE {
            balancer.write_file(path.into(), text.as_bytes())?;
        }
        for vm in &cluster.machines {
            vm.guest().check("systemctl enable --now cluster-announce.service")?;
        }
        balancer.check_for("systemctl daemon-reload && systemctl enable --now cluster-render.service haproxy.path", SERVICE_SECS)?;

        let serve = |vm: &Vm, name: &str| {
            // As a good server does: told to end, it accepts nothing new and finishes what it has begun.
            let serve = shell_word(&format!("{SERVE} & trap \"kill $!; sleep 3; exit\" TERM; wait"));
            let run = format!(
                "docker run --detach --name {name} --hostname {name} --label slipway.service=web --publish 8080 {IMAGE} /bin/sh -c {serve}"
            );
            vm.guest().check_for(&run, SERVICE_SECS).map(drop)
        };
        // Who answers, each once; an answer that does not come is an answer, too.
        let ask = format!("for n in $(seq {REQUESTS}); do curl -sf --max-time 5 http://127.0.0.1/ || echo nobody; done | sort -u | xargs");
        let answer = |wanted: &str| balancer.wait_for(&ask, FOLLOW_SECS, |said| said.text() == wanted).map(drop);
        serve(two, "on-two")?;
        answer("on-two")?;
        serve(three, "on-three")?;
        answer("on-three on-two")?;

        // Between its end and the balancer's next configuration, requests for it go to the other one.
        let asked =
            "while :; do curl -sf --max-time 5 http://127.0.0.1/ > /dev/null && echo good || echo bad; sleep 0.2; done >> /run/asked";
        balancer.check(&format!("systemd-run --quiet --unit=asks bash -c {}", shell_word(asked)))?;
        two.guest().check_for("docker stop --time 20 on-two", SERVICE_SECS)?;
        answer("on-three")?;
        two.guest().check_for("docker start on-two", SERVICE_SECS)?;
        answer("on-three on-two")?;
        balancer.check("systemctl stop asks.service")?;
        let said = balancer.check("grep -c good /run/asked; grep -c bad /run/asked || true")?;
        let counts: Vec<u32> = said.text().split_whitespace().filter_map(|count| count.parse().ok()).collect();
        let [good, bad] = counts.as_slice() else { bail!("the client counted {said}") };
        ensure!(*good > 0 && *bad == 0, "{good} requests were answered and {bad} were not");

        three.kill();
        answer("on-two")?;
        let known = "cluster-agent services web --json | grep -c 8080 || true";
        balancer.wait_for(known, FORM_SECS, |said| said.text() == "1")?;

        // A template that HAProxy does not like changes nothing.
        let before = balancer.check("sha256sum < /etc/haproxy/haproxy.cfg")?;
        balancer.check("echo 'no such word' >> /etc/slipway/render.d/haproxy.cfg.j2 && systemctl reload cluster-render.service")?;
        balancer.wait_for("journalctl --unit cluster-render --output cat --lines 20", FOLLOW_SECS, |said| {
            said.stdout.contains("no such word") || said.stdout.contains("check")
        })?;
        ensure!(balancer.check("sha256sum < /etc/haproxy/haproxy.cfg")?.text() == before.text(), "a bad configuration was installed");
        answer("on-two")
    },
)
.needs(Need::machines(3, 2))
.seconds(480)
.when(When::Full);
