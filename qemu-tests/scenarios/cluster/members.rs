//! Members of etcd that are cut off, lose their power or their disks, and come back.

use anyhow::{Context, bail, ensure};
use qemu_tests::budget::Need;
use qemu_tests::guest::Output;
use qemu_tests::scenario::{Scenario, When};
use qemu_tests::vm::Vm;

use super::lab::{Cluster, ELECTION_MS, ETCDCTL, FORM_SECS, REJOIN_SECS};

/// The shortest time that the agent takes for "never comes back".
const REPLACE_SOON: &str = "60s";
/// How long it may take to begin again from a member's data, or to find out that one must not, in KVM seconds.
const RECOVER_SECS: u64 = 60;

pub(crate) const PARTED: Scenario = Scenario::new(
    "a_cluster_that_is_parted_refuses_in_the_minority_and_heals",
    "Of a cluster that falls apart the smaller part refuses to write; when the network is back, everybody has what was written meanwhile.",
    |bench| {
        let cluster = Cluster::form(bench, 3, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        cluster.switch.partition(&[&[1, 2], &[3]]);
        let write = format!("{ETCDCTL} put side");
        one.guest().wait_for(&format!("{write} majority"), REJOIN_SECS, |said| said.success())?;
        // Until it has given its leader up it sends it what it is asked to write, and that arrives when the network is back.
        three.guest().wait_for(&format!("{ETCDCTL} endpoint status --write-out json"), REJOIN_SECS, |said| {
            let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_default();
            said[0]["Status"].is_object() && said[0]["Status"]["leader"].as_u64().unwrap_or_default() == 0
        })?;
        let refused = three.guest().run(&format!("{write} minority"))?;
        ensure!(!refused.success(), "the minority writes: {refused}");
        let turn = three.guest().run("curl --silent --max-time 20 --unix-socket /run/cluster-agent/turns.sock -H 'fleet-lock-protocol: true' \
             --data '{\"client_params\":{\"id\":\"x\",\"group\":\"default\"}}' --output /dev/null --write-out '%{http_code}' http://turns/v1/pre-reboot")?;
        ensure!(turn.text() != "200", "the minority may reboot: {turn}");
        cluster.switch.heal();
        three.guest().wait_for(&format!("{ETCDCTL} get side --print-value-only"), REJOIN_SECS, |said| said.text() == "majority")?;
        cluster.has_voters(3)?;
        two.guest().check(&format!("{write} everybody")).map(drop)
    },
)
.needs(Need::machines(3, 2))
.seconds(360)
.when(When::Full);

pub(crate) const RETURNS: Scenario = Scenario::new(
    "a_cluster_comes_back_after_the_power_was_gone_everywhere",
    "All machines lose power at once and the discovery server is gone for good: power comes back to one after the other, the first is alone \
              for a whole boot, and the cluster comes back with everything it held.",
    |bench| {
        let cluster = Cluster::form(bench, 3, 3)?;
        cluster.first()?.guest().check(&format!("{ETCDCTL} put promise kept"))?;
        cluster.server.stop();
        let boots = cluster.machines.iter().map(|vm| vm.guest().boot_id()).collect::<anyhow::Result<Vec<_>>>()?;
        cluster.machines.iter().try_for_each(|vm| vm.power_cut())?;
        // Not in the order in which they formed.
        for index in [2, 0, 1] {
            let (vm, boot) = cluster.machines.get(index).zip(boots.get(index)).context("there are not three machines")?;
            vm.power_on()?;
            vm.wait_for_boot_after(boot)?;
            // No document is found at this boot.
            let said = vm.guest().check("systemctl show --value --property Environment etcd.service")?;
            let patience = format!("ETCD_ELECTION_TIMEOUT={ELECTION_MS}");
            ensure!(said.text().contains(&patience), "{} is a member that does not wait as long as the others: {said}", vm.name());
        }
        cluster.has_voters(3)?;
        let said = cluster.first()?.guest().check(&format!("{ETCDCTL} get promise --print-value-only"))?;
        ensure!(said.text() == "kept", "the cluster holds {said}");
        cluster.has_nodes(3, 3)
    },
)
.needs(Need::machines(3, 2))
.seconds(480)
.when(When::Full);

pub(crate) const LOST: Scenario = Scenario::new(
    "a_lost_quorum_is_left_to_a_person_who_begins_again_from_one_member",
    "Two of three members lose their power for good: nothing is changed by itself, a person begins again from the third, and whoever comes \
              back after all sees the new cluster, keeps its etcd down, and joins when a person says so.",
    |bench| {
        let mut cluster = Cluster::replacing(bench, 3, 3, REPLACE_SOON)?.without_swarm();
        cluster.join_all(bench, 3, &bench.image()?)?;
        cluster.has_voters(3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        let recover = "cluster-agent recover --from member --yes";
        let refused = one.guest().run_for(recover, RECOVER_SECS)?;
        ensure!(refused.stderr.contains("a quorum of members answers"), "a healthy cluster is begun again: {refused}");
        one.guest().check(&format!("{ETCDCTL} put promise kept"))?;

        let boots = [two.guest().boot_id()?, three.guest().boot_id()?];
        two.power_cut()?;
        three.power_cut()?;
        has_state(one, "no-quorum")?;
        let asked = one.guest().run_for("cluster-agent recover --from member", RECOVER_SECS)?;
        ensure!(!asked.success() && asked.stderr.contains("Lost is what"), "nobody is told what is lost: {asked}");
        let refused = one.guest().run(&format!("{ETCDCTL} put promise broken"))?;
        ensure!(!refused.success(), "one of three members writes: {refused}");
        let refused = one.guest().run_for("cluster-agent rejoin --yes", RECOVER_SECS)?;
        ensure!(refused.stderr.contains("may be all that is left"), "the last data is put aside: {refused}");
        bench.say("two of three are gone; the third waits for a person");

        one.guest().check_for(recover, RECOVER_SECS)?;
        one.guest().wait_for(&format!("{ETCDCTL} put later yes"), REJOIN_SECS, Output::success)?;
        bench.say("it goes on alone");
        for ((vm, boot), count) in [two, three].into_iter().zip(&boots).zip([2, 3]) {
            vm.power_on()?;
            vm.wait_for_boot_after(boot)?;
            has_state(vm, "foreign")?;
            let running = vm.guest().run("systemctl is-active etcd.service")?;
            ensure!(running.text() != "active", "{} runs the etcd of the cluster that was", vm.name());
            vm.guest().check_for("cluster-agent rejoin --yes", RECOVER_SECS)?;
            cluster.has_voters(count)?;
            bench.say(&format!("{} is back and has joined", vm.name()));
        }
        for (key, value) in [("promise", "kept"), ("later", "yes")] {
            let said = three.guest().check(&format!("{ETCDCTL} get {key} --print-value-only"))?;
            ensure!(said.text() == value, "{key} is {said}");
        }
        Ok(())
    },
)
.needs(Need::machines(3, 2))
.seconds(700)
.when(When::Full);

/// The agent of `vm` says this of its etcd.
fn has_state(vm: &Vm, state: &str) -> anyhow::Result<()> {
    vm.guest().wait_for("cat /run/cluster-agent/state.json", REJOIN_SECS, |said| {
        let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_default();
        said["parts"]["etcd"]["state"] == state
    })?;
    Ok(())
}

pub(crate) const STANDBY: Scenario = Scenario::new(
    "a_fourth_machine_serves_as_client_and_takes_a_dead_ones_seat",
    "The fourth machine is no voter, yet etcd is there on its own address; when a voter is gone for the stated time it takes the seat, and \
              a machine that comes back with an empty disk is let in again.",
    |bench| {
        let mut cluster = Cluster::replacing(bench, 3, 4, REPLACE_SOON)?.formed(bench, 3)?;
        let four = cluster.join(bench)?;
        four.guest().wait_for(&format!("{ETCDCTL} put fourth writes"), FORM_SECS, |said| said.success())?;
        let running = four.guest().run("systemctl is-active etcd.service")?;
        ensure!(running.text() != "active", "the fourth machine runs etcd itself");

        // A machine that lost its data is a stranger with an old name.
        let three = cluster.machines.get(2).context("there is no third machine")?;
        three.guest().check_for(
            "systemctl stop cluster-agent.service etcd.service && rm -rf /var/lib/etcd/* && systemctl start cluster-agent.service",
            20,
        )?;
        three.guest().wait_for(&format!("{ETCDCTL} get fourth --print-value-only"), REJOIN_SECS, |said| said.text() == "writes")?;
        cluster.has_voters(3)?;

        let two = cluster.machines.get(1).context("there is no second machine")?;
        two.kill();
        four.guest().wait_for("systemctl is-active etcd.service", REJOIN_SECS, |said| said.text() == "active")?;
        cluster.has_voters(3)
    },
)
.needs(Need::machines(4, 2))
.seconds(600)
.when(When::Full);

pub(crate) const FIVE: Scenario = Scenario::new(
    "five_machines_form_a_cluster_though_power_fails_meanwhile_and_outlive_their_leader",
    "Five machines boot one after the other, and one loses its power on the way: all five become members. When the leader's power goes, \
              another one leads, and with three of five left the cluster still takes writes.",
    |bench| {
        let mut cluster = Cluster::new(bench, 5, 5)?.without_swarm();
        for number in 1..=5 {
            let vm = cluster.join(bench)?;
            // The second one has registered by now or is about to; the fourth one waits for the last seat.
            if number == 2 || number == 4 {
                let boot = vm.guest().boot_id()?;
                vm.reset()?;
                vm.wait_for_boot_after(&boot)?;
            }
        }
        cluster.has_voters(5)?;
        let leader = format!("{ETCDCTL} endpoint status --cluster --write-out json");
        let leader = || -> anyhow::Result<usize> {
            let said = cluster.first()?.guest().wait_for(&leader, REJOIN_SECS, Output::success)?;
            let status: serde_json::Value = serde_json::from_str(&said.stdout).context("reading the members' status")?;
            let leads = status.as_array().into_iter().flatten().find(|member| {
                let id = &member["Status"]["header"]["member_id"];
                !id.is_null() && *id == member["Status"]["leader"]
            });
            let leads = leads.and_then(|member| member["Endpoint"].as_str()).context("nobody leads")?;
            for number in 1..=5 {
                if leads.contains(&format!("//{}:", cluster.address(number)?)) {
                    return Ok(usize::from(number) - 1);
                }
            }
            bail!("{leads} is none of the machines")
        };
        let first = leader()?;
        // The rest of the scenario asks the first machine.
        if first == 0 {
            let to = format!(
                "id=$({ETCDCTL} member list | sed -n 's/^\\([0-9a-f]*\\), started, .*{}:2380.*/\\1/p'); {ETCDCTL} move-leader $id",
                cluster.address(2)?
            );
            cluster.first()?.guest().wait_for(&to, REJOIN_SECS, Output::success)?;
        }
        let gone = leader()?;
        ensure!(gone != 0, "the first machine still leads");
        let other = if gone == 4 { 3 } else { 4 };
        for (name, away) in [("leader", gone), ("other", other)] {
            cluster.machines.get(away).context("there are not five machines")?.kill();
            cluster.first()?.guest().wait_for(&format!("{ETCDCTL} put {name} gone"), REJOIN_SECS, |said| said.success())?;
        }
        let last = cluster.machines.iter().enumerate().find(|(index, _)| ![0, gone, other].contains(index));
        let (_, last) = last.context("nobody else is left")?;
        last.guest().wait_for(&format!("{ETCDCTL} get leader --print-value-only"), REJOIN_SECS, |said| said.text() == "gone")?;
        Ok(())
    },
)
.needs(Need::machines(5, 2))
.seconds(600)
.when(When::Full);
