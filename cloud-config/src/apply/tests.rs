//! Plans made by hand, applied to folders; every step failing in turn.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::root::{Owners, Root};
use super::systemd::Recorder;
use super::*;
use crate::plan::content::{Content, Secret};
use crate::plan::effect::{AuthorizedKey, Mode, NewUser, Origin, Owner, Persistence};

fn path(text: &str) -> HostPath {
    HostPath::new(text).unwrap()
}

fn effect(action: Action) -> Effect {
    Effect { action, frequency: Frequency::EveryBoot, origin: Origin { file: "test.yaml".to_owned(), line: Some(1) } }
}

fn once(action: Action) -> Effect {
    Effect { frequency: Frequency::OncePerInstance, ..effect(action) }
}

fn file(at: &str, mode: u32, text: &str) -> Effect {
    effect(Action::File { path: path(at), mode: Mode(mode), owner: Owner::root(), content: Content::for_mode(text, mode) })
}

fn ada() -> NewUser {
    NewUser {
        name: "ada".to_owned(),
        uid: None,
        gecos: "Ada".to_owned(),
        home: path("/home/ada"),
        create_home: true,
        primary_group: "ada".to_owned(),
        groups: vec!["docker".to_owned()],
        system: false,
        shell: "/bin/bash".to_owned(),
    }
}

const UNIT: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

/// A plan with one effect of every kind, over things that are there and things that are not.
fn everything() -> Plan {
    let job = |unit: &str, job| effect(Action::Job { unit: unit.to_owned(), job, when_changed: Vec::new() });
    Plan {
        effects: vec![
            effect(Action::Hostname { name: "node1".to_owned() }),
            effect(Action::Timezone { zone: "Europe/Berlin".to_owned() }),
            effect(Action::Group { name: "ops".to_owned(), gid: Some(4000), system: false, members: vec!["core".to_owned()] }),
            once(Action::User(ada())),
            effect(Action::Password { user: "ada".to_owned(), hash: Secret::new("$6$a$b") }),
            effect(Action::SshKeys {
                user: "ada".to_owned(),
                set: "cloud-config".to_owned(),
                keys: vec![AuthorizedKey("ssh-ed25519 A a".to_owned())],
            }),
            effect(Action::Directory { path: path("/srv/data"), mode: Mode(0o750), owner: Owner::root() }),
            file("/etc/motd", 0o644, "hello\n"),
            file("/etc/deep/er/secret", 0o600, "hush\n"),
            effect(Action::Append {
                path: path("/etc/profile"),
                mode: Mode(0o644),
                owner: Owner::root(),
                content: Content::open("export A=1\n"),
            }),
            effect(Action::Assignments { path: path("/etc/environment"), base: None, values: vec![("A".to_owned(), "1".to_owned())] }),
            effect(Action::Symlink { path: path("/etc/link"), target: "motd".to_owned() }),
            effect(Action::CaBundle),
            file("/etc/systemd/system/web.service", 0o644, UNIT),
            effect(Action::Mask { unit: "old.service".to_owned(), persistence: Persistence::Persistent }),
            effect(Action::Unmask { unit: "locked.service".to_owned() }),
            effect(Action::Enable { unit: "web.service".to_owned(), persistence: Persistence::Persistent }),
            effect(Action::DaemonReload),
            job("web.service", JobKind::Start),
            job("docker.service", JobKind::Restart),
            once(Action::Job { unit: "run.service".to_owned(), job: JobKind::Start, when_changed: Vec::new() }),
            effect(Action::Unavailable { unit: "fleet.service".to_owned(), wanted: "start".to_owned() }),
        ],
        ..Plan::default()
    }
}

/// A host with a few things on it that the plan changes.
fn host_tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n", 0o644);
    write("etc/shadow", "root:*:1::::::\ncore:*:1::::::\n", 0o640);
    write("etc/group", "root:x:0:\ndocker:x:233:\ncore:x:1000:\n", 0o644);
    write("etc/gshadow", "root:*::\ndocker:!::\ncore:!::\n", 0o640);
    write("etc/motd", "old\n", 0o600);
    write("etc/profile", "# profile", 0o644);
    write("etc/ca-certificates.conf", "mozilla/A.crt\n!mozilla/B.crt\n", 0o644);
    write("usr/share/ca-certificates/mozilla/A.crt", "AAA\n", 0o644);
    write("usr/share/ca-certificates/mozilla/B.crt", "BBB\n", 0o644);
    write("etc/systemd/system/old.service", "[Service]\n", 0o644);
    std::fs::create_dir_all(dir.path().join("run/systemd/system")).unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("run/systemd/system/locked.service")).unwrap();
    std::fs::create_dir_all(dir.path().join("var/home")).unwrap();
    std::os::unix::fs::symlink("var/home", dir.path().join("home")).unwrap();
    dir
}

/// Everything there is to know about a tree; times of folders aside.
fn picture(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                left.push(path.clone());
                "folder".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else {
                format!("{:?}", String::from_utf8_lossy(&std::fs::read(&path).unwrap()))
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, format!("{:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid()));
        }
    }
    found
}

fn run(plan: &Plan, dir: &Path, systemd: Option<&mut Recorder>, fail_after: Option<usize>) -> Applied {
    let mut tree = Tree::changing(Root::open_with(dir, Owners::Keep).unwrap());
    tree.fail_after = fail_after;
    let mut host =
        Host { tree, systemd: systemd.map(|systemd| systemd as &mut dyn Systemd), commands: None, fetch: None, clock: &|| Duration::ZERO };
    apply(plan, Scope::Whole, "i-1", &mut host)
}

fn words(applied: &Applied) -> Vec<&'static str> {
    applied.steps.iter().map(|step| step.result.as_ref().map_or("failed", word)).collect()
}

#[test]
fn a_plan_changes_what_it_says_and_the_second_time_nothing() {
    let dir = host_tree();
    let mut systemd = Recorder::default();
    let first = run(&everything(), dir.path(), Some(&mut systemd), None);
    assert!(first.is_complete(), "{:?}", first.failure());
    let after = picture(dir.path());
    for (name, is) in [
        ("etc/hostname", r#"100644 U "node1\n""#),
        ("etc/motd", r#"100644 U "hello\n""#),
        ("etc/deep/er/secret", r#"100600 U "hush\n""#),
        ("etc/profile", r##"100644 U "# profile\nexport A=1\n""##),
        ("etc/localtime", "120777 U -> ../usr/share/zoneinfo/Europe/Berlin"),
        ("etc/ssl/certs/ca-certificates.crt", r#"100644 U "AAA\n""#),
        ("etc/systemd/system/old.service", "120777 U -> /dev/null"),
        ("etc/systemd/system/multi-user.target.wants/web.service", "120777 U -> /etc/systemd/system/web.service"),
        ("var/home/ada", "40700 U folder"),
        ("var/home/ada/.ssh", "40700 U folder"),
        ("var/home/ada/.ssh/authorized_keys", r##"100600 U "# begin cloud-config\nssh-ed25519 A a\n# end cloud-config\n""##),
        ("etc/shadow", r#"100640 U "root:*:1::::::\ncore:*:1::::::\nada:$6$a$b::0:99999:7:::\n""#),
        ("srv/data", "40750 U folder"),
    ] {
        let ids = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!(after.get(name), Some(&is.replace(" U ", &format!(" {ids} "))), "{name}");
    }
    assert!(!after.contains_key("run/systemd/system/locked.service"));
    assert_eq!(systemd.calls, ["hostname node1", "daemon-reload", "start web.service", "restart docker.service", "start run.service"]);

    let second = run(&everything(), dir.path(), Some(&mut systemd), None);
    assert_eq!(picture(dir.path()), after);
    let expected =
        "same same same skip same same same same same same same same same same same same same skip queued queued skip not_available";
    assert_eq!(words(&second).join(" ").replace("not available", "not_available"), expected);
}

#[test]
fn looking_changes_nothing_and_sees_what_would_be() {
    let dir = host_tree();
    let before = picture(dir.path());
    let mut host = Host {
        tree: Tree::looking(Root::open_with(dir.path(), Owners::Keep).unwrap()),
        systemd: None,
        commands: None,
        fetch: None,
        clock: &|| Duration::ZERO,
    };
    let looked = apply(&everything(), Scope::Whole, "i-1", &mut host);
    assert!(looked.is_complete(), "{:?}", looked.failure());
    assert_eq!(picture(dir.path()), before);
    let done = run(&everything(), dir.path(), None, None);
    assert_eq!(words(&looked), words(&done));
}

#[test]
fn whichever_change_fails_the_tree_is_as_it_was() {
    let mut broken = 0;
    for fail_after in 0.. {
        let dir = host_tree();
        let before = picture(dir.path());
        let mut systemd = Recorder::default();
        let applied = run(&everything(), dir.path(), Some(&mut systemd), Some(fail_after));
        if applied.is_complete() {
            break;
        }
        broken += 1;
        let undone = applied.undone.as_ref().unwrap();
        assert!(undone.left.is_empty(), "{:?}", undone.left);
        assert_eq!(picture(dir.path()), before, "change {fail_after}");
        assert_eq!(systemd.name, "", "the name is taken back");
    }
    assert!(broken > 20, "the plan makes more changes than {broken}");
}

#[test]
fn whatever_systemd_refuses_is_undone_with_its_jobs() {
    for fail_after in 0..5 {
        let dir = host_tree();
        let before = picture(dir.path());
        let mut systemd = Recorder { fail_after: Some(fail_after), ..Recorder::default() };
        systemd.active.insert("docker.service".to_owned());
        let applied = run(&everything(), dir.path(), Some(&mut systemd), None);
        assert!(applied.failure().is_some());
        let mut after = picture(dir.path());
        // That the one-time job was about to be queued is remembered on purpose.
        after.retain(|name, _| !name.starts_with("var/lib"));
        assert_eq!(after, before, "request {fail_after}");
        assert!(systemd.active.contains("docker.service") && !systemd.active.contains("web.service"), "{:?}", systemd.calls);
    }
}

#[test]
fn one_time_things_are_done_again_on_another_instance_only() {
    let dir = host_tree();
    let plan = Plan {
        effects: vec![once(Action::Job { unit: "run.service".to_owned(), job: JobKind::Start, when_changed: Vec::new() })],
        ..Plan::default()
    };
    let mut systemd = Recorder::default();
    for (instance, calls) in [("i-1", 1), ("i-1", 1), ("i-2", 2)] {
        let tree = Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
        let mut host = Host { tree, systemd: Some(&mut systemd), commands: None, fetch: None, clock: &|| Duration::ZERO };
        assert!(apply(&plan, Scope::Whole, instance, &mut host).is_complete());
        assert_eq!(systemd.calls.len(), calls);
    }
}

#[test]
fn what_is_no_longer_wanted_goes_unless_it_is_not_ours() {
    let dir = host_tree();
    let all = Plan {
        effects: vec![file("/etc/new", 0o644, "1\n"), file("/etc/touched", 0o644, "1\n"), file("/etc/motd", 0o644, "hello\n")],
        ..Plan::default()
    };
    run(&all, dir.path(), None, None);
    std::fs::write(dir.path().join("etc/touched"), "2\n").unwrap();
    let applied = run(&Plan::default(), dir.path(), None, None);
    let after = picture(dir.path());
    assert!(!after.contains_key("etc/new") && after.contains_key("etc/touched") && after.contains_key("etc/motd"));
    assert_eq!(applied.leftovers.len(), 3, "{:?}", applied.leftovers);
    assert!(run(&Plan::default(), dir.path(), None, None).leftovers.is_empty(), "said once");
}

#[test]
fn a_rescue_leaves_earlier_runs_alone() {
    let dir = host_tree();
    run(&Plan { effects: vec![file("/etc/new", 0o644, "1\n")], ..Plan::default() }, dir.path(), None, None);
    let tree = Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
    let mut host = Host { tree, systemd: None, commands: None, fetch: None, clock: &|| Duration::ZERO };
    let rescue = Plan { effects: vec![effect(Action::Hostname { name: "node1".to_owned() })], ..Plan::default() };
    assert!(apply(&rescue, Scope::Rescue, "i-1", &mut host).is_complete());
    assert!(dir.path().join("etc/new").exists());
    assert!(run(&Plan::default(), dir.path(), None, None).leftovers[0].starts_with("removed: /etc/new"), "still known as ours");
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let dir = host_tree();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("etc/out")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../tmp", dir.path().join("etc/up")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("target"), dir.path().join("etc/file")).unwrap();
    std::fs::write(outside.path().join("target"), "safe").unwrap();
    let plan = Plan {
        effects: vec![file("/etc/out/a", 0o644, "1"), file("/etc/up/cloud-config-test-escape", 0o644, "2"), file("/etc/file", 0o644, "3")],
        ..Plan::default()
    };
    let applied = run(&plan, dir.path(), None, None);
    assert!(applied.is_complete(), "{:?}", applied.failure());
    assert_eq!(std::fs::read_to_string(outside.path().join("target")).unwrap(), "safe");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(!Path::new("/tmp/cloud-config-test-escape").exists());
    let inside = picture(dir.path());
    assert!(inside.contains_key("tmp/cloud-config-test-escape"), "the link means this root's /tmp");
    assert!(inside["etc/file"].ends_with("\"3\""), "the link itself was replaced");
}

#[test]
fn keys_do_not_follow_a_link_in_a_home() {
    let dir = host_tree();
    std::fs::create_dir_all(dir.path().join("var/home/core")).unwrap();
    std::fs::create_dir_all(dir.path().join("root")).unwrap();
    std::os::unix::fs::symlink("/root", dir.path().join("var/home/core/.ssh")).unwrap();
    let keys = effect(Action::SshKeys { user: "core".to_owned(), set: "s".to_owned(), keys: vec![AuthorizedKey("ssh-rsa X".to_owned())] });
    let applied = run(&Plan { effects: vec![keys, file("/etc/motd", 0o644, "x")], ..Plan::default() }, dir.path(), None, None);
    assert!(applied.is_complete(), "{:?}", applied.failure());
    assert_eq!(words(&applied), ["not available", "change"], "one user's link does not stop the rest");
    assert_eq!(std::fs::read_dir(dir.path().join("root")).unwrap().count(), 0);
}

#[test]
fn refuses_to_replace_a_folder_or_a_pipe() {
    let dir = host_tree();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("etc/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for (at, reason) in [("/etc", "is a directory"), ("/etc/pipe", "neither a file nor a link"), ("/etc/motd/x", "not a directory")] {
        let applied = run(&Plan { effects: vec![file(at, 0o644, "x")], ..Plan::default() }, dir.path(), None, None);
        let (_, error) = applied.failure().unwrap();
        assert!(error.to_string().to_lowercase().contains(reason), "{error}");
    }
}

#[test]
fn a_crash_leaves_nothing_that_stops_the_next_run() {
    let dir = host_tree();
    std::fs::write(dir.path().join("etc/.cloud-config-new"), "half").unwrap();
    assert!(run(&everything(), dir.path(), None, None).is_complete());
    assert!(!picture(dir.path()).contains_key("etc/.cloud-config-new"));
}

#[test]
fn jobs_that_depend_on_files_wait_for_a_change() {
    let dir = host_tree();
    let plan = Plan {
        effects: vec![
            file("/etc/sysctl.d/90.conf", 0o644, "x = 1\n"),
            effect(Action::Job {
                unit: "systemd-sysctl.service".to_owned(),
                job: JobKind::Restart,
                when_changed: vec![path("/etc/sysctl.d/90.conf")],
            }),
        ],
        ..Plan::default()
    };
    for expected in [vec!["restart systemd-sysctl.service".to_owned()], vec![]] {
        let mut systemd = Recorder::default();
        assert!(run(&plan, dir.path(), Some(&mut systemd), None).is_complete());
        assert_eq!(systemd.calls, expected);
    }
}

struct Exits(Result<(), String>);

impl Commands for Exits {
    fn run(&self, _path: &Path) -> Result<(), String> {
        self.0.clone()
    }
}

#[test]
fn a_program_that_fails_takes_everything_back() {
    let dir = host_tree();
    let before = picture(dir.path());
    let program = effect(Action::Run { name: "bootcmd".to_owned(), path: path("/var/lib/x") });
    let plan = Plan { effects: vec![file("/etc/motd", 0o644, "x"), program], ..Plan::default() };
    let commands = Exits(Err("exit status: 3".to_owned()));
    let tree = Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
    let mut host = Host { tree, systemd: None, commands: Some(&commands), fetch: None, clock: &|| Duration::ZERO };
    let applied = apply(&plan, Scope::Whole, "i-1", &mut host);
    assert_eq!(applied.failure().unwrap().1.to_string(), "bootcmd exit status: 3");
    assert_eq!(picture(dir.path()), before);
}

/// A site with one answer; it counts how often it is asked.
struct Site {
    answer: Result<&'static str, &'static str>,
    asked: std::cell::Cell<usize>,
}

impl Fetch for Site {
    fn get(&self, _url: &str, _limit: u64, need: fetch::Need) -> Result<Vec<u8>, String> {
        assert_eq!(need, fetch::Need::May, "keys never cost the time of files");
        self.asked.set(self.asked.get() + 1);
        self.answer.map(|text| text.as_bytes().to_vec()).map_err(str::to_owned)
    }
}

const SITE_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHGqNXFZTM3pUvNYlVsGnMSOFzWN4FtzGPQvJRLLGiTw";

fn import(user: &str) -> Effect {
    effect(Action::ImportKeys { user: user.to_owned(), set: "github-ada".to_owned(), url: "https://keys.internal/ada".to_owned() })
}

fn run_with(plan: &Plan, tree: Tree, site: Option<&Site>) -> Applied {
    let fetch = site.map(|site| site as &dyn Fetch);
    let mut host = Host { tree, systemd: None, commands: None, fetch, clock: &|| Duration::ZERO };
    apply(plan, Scope::Whole, "i-1", &mut host)
}

#[test]
fn keys_of_a_site_come_and_go_and_stay_when_it_says_nothing() {
    let dir = host_tree();
    let own = effect(Action::SshKeys {
        user: "core".to_owned(),
        set: "cloud-config".to_owned(),
        keys: vec![AuthorizedKey("ssh-ed25519 A a".to_owned())],
    });
    let plan = Plan { effects: vec![own, import("core"), file("/etc/motd", 0o644, "after\n")], ..Plan::default() };
    let with = format!("# begin cloud-config\nssh-ed25519 A a\n# end cloud-config\n# begin github-ada\n{SITE_KEY}\n# end github-ada\n");
    let without = "# begin cloud-config\nssh-ed25519 A a\n# end cloud-config\n";
    let story = [
        (Err("no answer"), "not available", without),
        (Ok(SITE_KEY), "change", with.as_str()),
        (Ok(SITE_KEY), "same", &with),
        (Err("no answer"), "not available", &with),
        (Ok("<html>down for maintenance</html>"), "not available", &with),
        (Ok(""), "not available", &with),
        (Ok("[]"), "change", without),
    ];
    for (answer, word, expected) in story {
        let site = Site { answer, asked: 0.into() };
        let tree = Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
        let applied = run_with(&plan, tree, Some(&site));
        assert!(applied.is_complete() && applied.undone.is_none(), "{:?}", applied.failure());
        assert_eq!((words(&applied)[1], site.asked.get()), (word, 1), "{answer:?}");
        assert_eq!(std::fs::read_to_string(dir.path().join("var/home/core/.ssh/authorized_keys")).unwrap(), expected, "{answer:?}");
        assert_eq!(std::fs::read_to_string(dir.path().join("etc/motd")).unwrap(), "after\n", "the rest is done");
    }
}

#[test]
fn a_report_says_which_keys_did_not_come() {
    let dir = host_tree();
    let plan = Plan { effects: vec![import("core")], ..Plan::default() };
    let tree = Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
    let applied = run_with(&plan, tree, Some(&Site { answer: Err("status 503"), asked: 0.into() }));
    let mut report = crate::report::Report::new(crate::report::Source::default(), "i-1", &[]);
    report.add(&plan, &applied);
    let summary = report.summary().join("\n");
    assert!(summary.contains("test.yaml:1: keys of core were not fetched from https://keys.internal/ada: status 503"), "{summary}");
    assert_eq!(report.verdict, crate::report::Verdict::Applied);
}

#[test]
fn keys_of_a_site_are_not_fetched_in_vain() {
    let dir = host_tree();
    let site = Site { answer: Ok(SITE_KEY), asked: 0.into() };
    let changing = || Tree::changing(Root::open_with(dir.path(), Owners::Keep).unwrap());
    let looking = Tree::looking(Root::open_with(dir.path(), Owners::Keep).unwrap());
    for (user, tree, with, word) in [
        ("core", looking, Some(&site), "skip"),
        ("nobody", changing(), Some(&site), "not available"),
        ("core", changing(), None, "not available"),
    ] {
        let applied = run_with(&Plan { effects: vec![import(user)], ..Plan::default() }, tree, with);
        assert_eq!(words(&applied), [word], "{user}");
    }
    assert_eq!(site.asked.get(), 0);
    assert!(!dir.path().join("var/home/core/.ssh").exists());
}
