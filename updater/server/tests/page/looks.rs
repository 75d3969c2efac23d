//! The pages as they are for a small known fleet: read the snapshots to see what an operator reads.

use update_server::store::tokens::Role;

use crate::fleet::Fleet;

/// What is another one with every run or every edit of the style.
fn steady(body: &str) -> String {
    let mut out = String::new();
    for line in body.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let mut line = line.to_owned();
        if let Some(at) = line.find(r#"name="form_token" value=""#) {
            let at = at + r#"name="form_token" value=""#.len();
            line.replace_range(at..at + 64, "FORM-TOKEN");
        }
        for name in ["page-", "icon-"] {
            if let Some(at) = line.find(&format!("/assets/{name}")) {
                let at = at + "/assets/".len() + name.len();
                line.replace_range(at..at + 16, "HASH");
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

async fn check(name: &str, path: &str, role: Role) {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", role).await;
    insta::assert_snapshot!(name, steady(&fleet.get(path, &cookie).await.body));
}

#[tokio::test]
async fn overview() {
    check("overview", "/", Role::Viewer).await;
}

#[tokio::test]
async fn rollout_that_runs() {
    check("rollout-running", "/rollouts/2", Role::Operator).await;
}

#[tokio::test]
async fn rollout_that_the_brake_stopped() {
    check("rollout-stopped", "/rollouts/3", Role::Operator).await;
}

#[tokio::test]
async fn rollout_that_is_done_for_a_viewer() {
    check("rollout-done", "/rollouts/1", Role::Viewer).await;
}

#[tokio::test]
async fn machines() {
    check("machines", "/machines?group=stable", Role::Viewer).await;
}

#[tokio::test]
async fn machine_that_came_back() {
    check("machine", "/machines/00000000000000000000000000000003", Role::Viewer).await;
}

#[tokio::test]
async fn machine_with_a_twin() {
    check("machine-twin", "/machines/00000000000000000000000000000004", Role::Viewer).await;
}

#[tokio::test]
async fn history() {
    check("history", "/history", Role::Viewer).await;
}

#[tokio::test]
async fn sign_in() {
    let fleet = Fleet::empty(None).await;
    insta::assert_snapshot!("sign-in", steady(&fleet.get("/sign-in?next=/machines", "").await.body));
}

#[tokio::test]
async fn an_empty_server_says_what_to_do() {
    let fleet = Fleet::empty(None).await;
    let cookie = fleet.sign_in("anna", Role::Admin).await;
    for (path, says) in [
        ("/", "No rollout yet."),
        ("/", "No group yet."),
        ("/rollouts", "No rollout yet."),
        ("/machines", "No machine has checked in yet."),
        ("/machines?group=x", "No machine fits."),
        ("/history", "Nothing was changed yet."),
        ("/history?before=1", "end of the history"),
    ] {
        let body = fleet.get(path, &cookie).await.body;
        assert!(body.contains(says), "{path}: {body}");
    }
}

#[tokio::test]
async fn long_lists_have_pages() {
    use update_server::store::audit;
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    let mut tx = fleet.db.begin().await.unwrap();
    for number in 0..120 {
        audit::note(&mut tx, crate::fleet::NOW, "anna", "group.put", &format!("group/{number}"), None::<&()>, None::<&()>).await.unwrap();
    }
    tx.commit().await.unwrap();
    let first = fleet.get("/history", &cookie).await.body;
    assert!(first.contains("group/119<") && !first.contains("group/69<") && first.contains(r#"href="/history?before=73""#), "{first}");
    let second = fleet.get("/history?before=73", &cookie).await.body;
    assert!(second.contains("group/69<") && second.contains(r#"href="/history">Newest"#), "{second}");
    let one = fleet.get("/machines?search=000003", &cookie).await.body;
    assert!(one.contains("1 machine on this page") && !one.contains("Next page"), "{one}");
}
