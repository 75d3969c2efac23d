//! Containers, Swarm and etcd, without any registry or other host.

use anyhow::ensure;
use qemu_tests::scenario::Check;
use qemu_tests::vm::Vm;

/// A container image made of the host's own shell.
const IMAGE: &str = "slipway-test/shell";
const IMAGE_FILES: &str = "bin lib lib64 usr/bin/sh usr/bin/dash usr/bin/cat usr/bin/sleep usr/lib64/ld-linux-x86-64.so.2 \
    usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/libc.so.6";

/// What a shell in a container may do with 16 MiB until it is stopped.
const EAT_MEMORY: &str = "x=x; while :; do x=$x$x; done";

pub(crate) const LIMITS: Check = Check {
    name: "containers_run_within_their_limits",
    promise: "docker run works, and the memory and processor limits it is given hold.",
    run: |vm| {
        let guest = vm.guest();
        with_image(vm, || {
            let show = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max";
            let limits = guest.check_for(&format!("docker run --rm --memory 64m --cpus 0.5 {IMAGE} /bin/sh -c '{show}'"), 12)?;
            ensure!(limits.text() == "67108864\n50000 100000", "the container sees {:?}", limits.text());
            let eater = guest.run_for(&format!("docker run --rm --memory 16m --memory-swap 16m {IMAGE} /bin/sh -c '{EAT_MEMORY}'"), 18)?;
            // dash ends by itself when an allocation fails; the kernel kills it otherwise. Both are limits that hold.
            ensure!(eater.status == 137, "a container over its memory limit ended with {eater}");
            Ok(())
        })
    },
};

pub(crate) const SWARM: Check = Check {
    name: "swarm_service_converges",
    promise: "docker swarm init makes a one-node swarm that runs a service with two replicas on an overlay network.",
    run: |vm| {
        let guest = vm.guest();
        with_image(vm, || {
            guest.check_for("docker swarm init --advertise-addr 127.0.0.1", 12)?;
            guest.check_for("docker network create --driver overlay slipway-test", 12)?;
            guest.check_for(
                &format!(
                    "docker service create --detach --name slipway-test --network slipway-test --replicas 2 --no-resolve-image \
                     --stop-grace-period 1s {IMAGE} /bin/sh -c 'while :; do sleep 1; done'"
                ),
                12,
            )?;
            let replicas = "docker service ls --filter name=slipway-test --format '{{.Replicas}}'; \
                            docker service ps slipway-test --no-trunc --format '{{.Name}} {{.CurrentState}} {{.Error}}' >&2";
            guest.wait_for(replicas, 30, |output| output.text() == "2/2")?;
            guest.check_for("docker service rm slipway-test && docker swarm leave --force", 18)?;
            Ok(())
        })
    },
};

pub(crate) const ETCD: Check = Check {
    name: "etcd_keeps_a_value",
    promise: "etcd is there but not running; once enabled it keeps what it is given.",
    run: |vm| {
        let guest = vm.guest();
        let before = guest.run("systemctl is-active etcd.service")?;
        ensure!(before.text() == "inactive", "a new host's etcd is {}", before.text());
        guest.check_for("systemctl enable --now etcd.service", 12)?;
        guest.check_for("etcdctl put promise kept", 6)?;
        guest.check_for("systemctl restart etcd.service", 12)?;
        let value = guest.check_for("etcdctl get promise --print-value-only", 6)?;
        ensure!(value.text() == "kept", "etcd says {:?}", value.text());
        guest.check_for("systemctl disable --now etcd.service && rm -rf /var/lib/etcd/*", 12)?;
        Ok(())
    },
};

/// Runs `proof` while the container image exists; the image is gone afterwards, however it ends.
fn with_image(vm: &Vm, proof: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    vm.guest().check_for(&format!("set -o pipefail; tar -C / -cf - {IMAGE_FILES} | docker import - {IMAGE}"), 18)?;
    let result = proof();
    // Tidying up must not hide why the proof failed.
    let _ = vm.guest().run_for(&format!("docker image rm --force {IMAGE}"), 12);
    result
}
