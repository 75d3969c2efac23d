//! How clusters come about.

use crate::lab::Lab;

#[tokio::test]
async fn three_machines_form_a_cluster_in_every_order_of_boot() {
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let Some(lab) = Lab::new(3) else { return };
        let mut machines = Vec::new();
        for number in order {
            let mut machine = lab.machine(number);
            machine.boot();
            if machines.len() < 2 {
                machine.until("waiting", &format!("{} of 3 machines are there", machines.len() + 1)).await;
            }
            machines.push(machine);
        }
        for machine in &machines {
            machine.until("member", "all 3 members are well").await;
        }
        assert_eq!(machines[0].voters().await, ["n1", "n2", "n3"]);
    }
}

#[tokio::test]
async fn a_machine_killed_at_any_step_of_its_first_boot_becomes_a_member() {
    for step in ["registered", "before etcd starts", "after etcd starts"] {
        let Some(lab) = Lab::new(3) else { return };
        let mut victim = lab.machine(1);
        if step == "registered" {
            victim.boot();
            victim.until("waiting", "1 of 3").await;
            victim.die().await;
        }
        let mut others = [lab.machine(2), lab.machine(3)];
        others.iter_mut().for_each(crate::lab::Machine::boot);
        if step == "registered" {
            others[0].until("waiting", "until n1 answers").await;
        } else {
            let mut engine = victim.engine();
            engine.die_at = Some(step);
            while engine.tick().await.is_ok() {
                tokio::time::sleep(crate::lab::PACE).await;
            }
            drop(engine);
            victim.die().await;
        }
        victim.boot();
        victim.until("member", "all 3 members are well").await;
        assert_eq!(others[0].voters().await, ["n1", "n2", "n3"], "{step}");
    }
}

#[tokio::test]
async fn a_fourth_machine_is_a_client_and_survives_without_the_discovery_service() {
    let Some(lab) = Lab::new(3) else { return };
    let mut machines = lab.cluster(3).await;
    let mut fourth = lab.machine(4);
    fourth.boot();
    fourth.until("client", "all 3 seats are taken").await;
    fourth.put("greeting", "from the fourth").await;
    assert_eq!(machines[0].get("greeting").await.as_deref(), Some("from the fourth"));
    machines.push(fourth);
    *lab.board.away.lock().unwrap() = true;
    for machine in &mut machines {
        machine.die().await;
    }
    for machine in machines.iter_mut().rev() {
        machine.boot();
    }
    for machine in &machines[..3] {
        machine.until("member", "all 3 members are well").await;
    }
    machines[3].until("client", "all 3 seats are taken").await;
    assert_eq!(machines[3].get("greeting").await.as_deref(), Some("from the fourth"));
}
