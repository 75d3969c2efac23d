//! Services of a Swarm go where they are wanted, talk over machines, and are updated.

use anyhow::{bail, ensure};
use qemu_tests::budget::Need;
use qemu_tests::guest::Output;
use qemu_tests::scenario::{Scenario, When};

use super::lab::{Cluster, FORM_SECS, SERVE, SERVICE_SECS};

/// A service on the first machine, and one on the others that asks it by its name.
const STACK: &str = "services:
  tells:
    image: slipway-test/web
    command: [/web-server, /run/secrets/word]
    networks: [between]
    secrets: [word]
    deploy: {placement: {constraints: [node.labels.frontend == true]}}
  asks:
    image: slipway-test/web
    command: [/bin/sh, -c, 'while :; do /web-server --ask tells:8080; sleep 1; done']
    networks: [between]
    deploy: {placement: {constraints: [node.labels.frontend != true]}}
networks:
  between: {driver: overlay}
secrets:
  word: {external: true}
";

pub(crate) const PLACED: Scenario = Scenario::new(
    "services_run_where_a_platform_builder_wants_them_and_an_update_that_fails_goes_back",
    "Services run only where 2 GB are free, only where a label says so, away from another, one on each machine; a stack's services talk over \
              machines and share a secret; an update of a service that fails is undone.",
    |bench| {
        let cluster = Cluster::new(bench, 3, 3)?.with_image()?.formed(bench, 3)?;
        let one = cluster.first()?.guest();
        let create = |name: &str, options: &str, command: &str| cluster.create(name, &format!("--stop-grace-period 1s {options}"), command);
        let again = |change: &str| one.wait_for(change, SERVICE_SECS, Output::success).map(drop);
        let sleep = "sleep infinity";
        // Where the running tasks of a service are, sorted.
        let tasks = |name: &str| format!("docker service ps {name} --filter desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}' | sed -n 's/ Running .*//p' | sort | xargs");
        let run = |name: &str, wanted: &str| one.wait_for(&tasks(name), SERVICE_SECS, |said| said.text() == wanted).map(drop);

        // A machine's metadata are the labels of its node, and follow it.
        one.check("printf '[metadata]\nfrontend = \"true\"\n' > /etc/slipway/cluster.toml.d/60-frontend.toml && systemctl restart cluster-agent.service")?;
        let labels = "docker node inspect machine-1 --format '{{index .Spec.Labels \"frontend\"}}'";
        one.wait_for(labels, FORM_SECS, |said| said.text() == "true")?;

        create("front", "--replicas 2 --constraint node.labels.frontend==true", sleep)?;
        create("back", "--replicas 2 --constraint node.labels.frontend!=true --replicas-max-per-node 1", sleep)?;
        create("each", "--replicas 4 --replicas-max-per-node 1", sleep)?;
        create("large", "--reserve-memory 2G", sleep)?;
        run("front", "machine-1 machine-1")?;
        run("back", "machine-2 machine-3")?;
        run("each", "machine-1 machine-2 machine-3")?;
        // Machines here have 2 GiB and need some of it themselves.
        let why = "docker service ps large --no-trunc --format '{{.CurrentState}} {{.Error}}'";
        one.wait_for(why, SERVICE_SECS, |said| said.text().starts_with("Pending") && said.text().contains("insufficient resources"))?;
        again("docker service update --detach --quiet --reserve-memory 512M large")?;
        one.wait_for(&tasks("large"), SERVICE_SECS, |said| said.text().starts_with("machine-"))?;

        // Over machines, by name, with a secret.
        one.check("printf 'known to the stack' | docker secret create word -")?;
        one.write_file("/root/stack.yaml".into(), STACK.as_bytes())?;
        one.check_for("docker stack deploy --detach=true --resolve-image never --compose-file /root/stack.yaml pair", SERVICE_SECS)?;
        let heard = "docker service logs --raw --tail 3 pair_asks 2>&1";
        one.wait_for(heard, SERVICE_SECS * 2, |said| said.text().contains("known to the stack"))?;
        let asks = one.check(&tasks("pair_asks"))?;
        ensure!(["machine-2", "machine-3"].contains(&asks.text()), "it asks on {asks}");

        // An update whose tasks end at once goes back by itself.
        let policy = "--replicas 2 --update-failure-action rollback --update-monitor 20s --restart-condition any";
        create("steady", policy, SERVE)?;
        one.wait_for(&tasks("steady"), SERVICE_SECS, |said| said.text().split(' ').count() == 2)?;
        again("docker service update --detach --quiet --args 'sh -c false' steady")?;
        let status = "docker service inspect steady --format '{{.UpdateStatus.State}}'";
        one.wait_for(status, SERVICE_SECS * 2, |said| said.text() == "rollback_completed")?;
        let said = one.check("docker service inspect steady --format '{{.Spec.TaskTemplate.ContainerSpec.Args}}'")?;
        if !said.text().contains(SERVE) {
            bail!("the service runs {said}");
        }
        Ok(())
    },
)
.needs(Need::machines(3, 2))
.seconds(480)
.when(When::Full);
