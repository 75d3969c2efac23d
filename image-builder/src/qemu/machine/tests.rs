use super::*;

fn machine() -> Machine {
    Machine {
        name: "slipway".into(),
        accel: Accel::Tcg,
        cpu_model: None,
        cpus: 1,
        memory_mib: 2048,
        firmware_code: "/fw/code.fd".into(),
        firmware_vars: "/tmp/vars.fd".into(),
        secure_boot: SecureBoot::Off,
        disks: vec![disk(DiskBus::VirtioBlk)],
        nic: None,
        credentials: Vec::new(),
        firmware_files: Vec::new(),
        oem_strings: Vec::new(),
        serial_number: None,
        serial: Serial::File("/tmp/serial.log".into()),
        ports: Vec::new(),
        qmp: None,
        tpm: None,
        screen: false,
        watchdog: false,
    }
}

fn disk(bus: DiskBus) -> Disk {
    Disk { file: "/tmp/disk.qcow2".into(), format: Format::Qcow2, bus, serial: "slipway0".into(), throwaway: true, read_only: false }
}

/// One option per line, as it reads best in a snapshot.
fn lines(machine: &Machine) -> String {
    let mut text = String::new();
    for arg in machine.args() {
        let separator = if text.is_empty() {
            ""
        } else if arg.starts_with('-') {
            "\n"
        } else {
            " "
        };
        text.push_str(separator);
        text.push_str(&arg);
    }
    text
}

#[test]
fn a_plain_machine() {
    insta::assert_snapshot!(lines(&machine()), @r"
    -nodefaults
    -no-user-config
    -name slipway
    -display none
    -machine q35
    -accel tcg,thread=multi
    -cpu Nehalem-v1,model=28,stepping=10,+sha-ni
    -smp 1
    -m 2048M
    -drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd
    -drive if=pflash,unit=1,format=raw,file=/tmp/vars.fd
    -device virtio-rng-pci
    -drive if=none,id=disk0,format=qcow2,discard=unmap,cache=unsafe,file=/tmp/disk.qcow2
    -device virtio-blk-pci,drive=disk0,serial=slipway0,bootindex=0
    -chardev file,id=console,append=on,path=/tmp/serial.log
    -serial chardev:console
    ");
}

#[test]
fn disks_and_variables_may_be_served() {
    let served = Machine {
        firmware_vars: Storage::Nbd("/tmp/a,b".into()),
        disks: vec![Disk { file: Storage::Nbd("/tmp/disk".into()), format: Format::Raw, throwaway: false, ..disk(DiskBus::VirtioBlk) }],
        ..machine()
    };
    let text = lines(&served);
    let added: Vec<&str> = text.lines().filter(|line| line.contains("nbd")).collect();
    insta::assert_snapshot!(
        added.join("\n"),
        @r"
    -drive if=pflash,unit=1,format=raw,file.driver=nbd,file.server.type=unix,file.server.path=/tmp/a,,b
    -drive if=none,id=disk0,format=raw,discard=unmap,file.driver=nbd,file.server.type=unix,file.server.path=/tmp/disk
    "
    );
}

#[test]
fn a_machine_with_everything() {
    let full = Machine {
        accel: Accel::Kvm,
        cpus: 2,
        secure_boot: SecureBoot::On,
        disks: vec![Disk { format: Format::Raw, throwaway: false, ..disk(DiskBus::Nvme) }, disk(DiskBus::Ahci)],
        nic: Some(Nic {
            model: NicModel::E1000e,
            mac: "52:54:00:00:00:01".into(),
            forwards: vec![Forward { host: 2222, guest: 22 }, Forward { host: 8080, guest: 80 }],
            services: vec![Forward { host: 4711, guest: 8080 }],
        }),
        credentials: vec![Credential::new("ssh.authorized_keys.core", "key")],
        serial: Serial::Terminal,
        ports: vec![Port { name: "org.slipway.test.0".into(), socket: "/tmp/port".into() }],
        qmp: Some("/tmp/qmp".into()),
        tpm: Some("/tmp/tpm".into()),
        screen: true,
        watchdog: true,
        ..machine()
    };
    insta::assert_snapshot!(lines(&full), @r"
    -nodefaults
    -no-user-config
    -name slipway
    -display none
    -machine q35,smm=on
    -accel kvm
    -cpu host
    -smp 2
    -m 2048M
    -drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd
    -drive if=pflash,unit=1,format=raw,file=/tmp/vars.fd
    -global driver=cfi.pflash01,property=secure,value=on
    -device virtio-rng-pci
    -drive if=none,id=disk0,format=raw,discard=unmap,file=/tmp/disk.qcow2
    -device nvme,drive=disk0,serial=slipway0,bootindex=0
    -drive if=none,id=disk1,format=qcow2,discard=unmap,cache=unsafe,file=/tmp/disk.qcow2
    -device ide-hd,bus=ide.1,drive=disk1,serial=slipway0,bootindex=1
    -netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80,guestfwd=tcp:10.0.2.100:8080-cmd:socat STDIO TCP4:127.0.0.1:4711
    -device e1000e,netdev=net0,mac=52:54:00:00:00:01,romfile=
    -smbios type=11,value=io.systemd.credential.binary:ssh.authorized_keys.core=a2V5
    -chardev stdio,id=console,mux=on,signal=off
    -serial chardev:console
    -mon chardev=console,mode=readline
    -device virtio-serial-pci,id=ports
    -chardev socket,id=port0,server=on,wait=off,path=/tmp/port
    -device virtserialport,bus=ports.0,chardev=port0,name=org.slipway.test.0
    -chardev socket,id=qmp,server=on,wait=off,path=/tmp/qmp
    -mon chardev=qmp,mode=control
    -chardev socket,id=tpm,path=/tmp/tpm
    -tpmdev emulator,id=tpm0,chardev=tpm
    -device tpm-tis,tpmdev=tpm0
    -device bochs-display
    -device i6300esb
    -action watchdog=reset
    ");
}

#[test]
fn configuration_is_handed_over_in_every_way_that_the_guest_looks() {
    let seed = Disk { file: "/tmp/seed.iso".into(), format: Format::Raw, read_only: true, ..disk(DiskBus::VirtioBlk) };
    let configured = Machine {
        disks: vec![disk(DiskBus::VirtioBlk), seed.clone(), Disk { bus: DiskBus::Ahci, ..seed }],
        firmware_files: vec![FirmwareFile { name: CLOUD_CONFIG.into(), file: "/tmp/a,b.yaml".into() }],
        oem_strings: vec!["io.systemd.stub.kernel-cmdline-extra=cloud-config-url=http://10.0.2.100/a,b".into()],
        serial_number: Some("ds=nocloud;s=http://10.0.2.100:8081/".into()),
        ..machine()
    };
    let text = lines(&configured);
    let added: Vec<&str> =
        text.lines().filter(|line| ["disk1", "disk2", "smbios", "fw_cfg"].iter().any(|word| line.contains(word))).collect();
    insta::assert_snapshot!(
        added.join("\n"),
        @r"
    -drive if=none,id=disk1,format=raw,readonly=on,cache=unsafe,file=/tmp/seed.iso
    -device virtio-blk-pci,drive=disk1,serial=slipway0,bootindex=1
    -drive if=none,id=disk2,format=raw,readonly=on,cache=unsafe,file=/tmp/seed.iso
    -device ide-cd,bus=ide.2,drive=disk2,serial=slipway0,bootindex=2
    -smbios type=11,value=io.systemd.stub.kernel-cmdline-extra=cloud-config-url=http://10.0.2.100/a,,b
    -smbios type=1,serial=ds=nocloud;s=http://10.0.2.100:8081/
    -fw_cfg name=opt/org.slipway/config,file=/tmp/a,,b.yaml
    "
    );
    assert!(CLOUD_CONFIG.len() <= 55, "QEMU takes no longer names");
}

#[test]
fn a_guest_reaches_nothing_and_is_reached_from_loopback_only() {
    let forwards = vec![Forward { host: 2222, guest: 22 }];
    for model in [NicModel::Virtio, NicModel::E1000e] {
        let nic = Nic { model, mac: "52:54:00:00:00:01".into(), forwards: forwards.clone(), services: Vec::new() };
        let args = Machine { nic: Some(nic), ..machine() }.args();
        let user: Vec<&String> = args.iter().filter(|arg| arg.contains("user,id=")).collect();
        assert_eq!(user, ["user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22"]);
    }
    assert!(!lines(&machine()).contains("net"));
}

#[test]
fn commas_in_paths_do_not_become_options() {
    let odd = Machine { firmware_vars: "/tmp/a,readonly=on/vars".into(), ..machine() };
    assert!(odd.args().contains(&"if=pflash,unit=1,format=raw,file=/tmp/a,,readonly=on/vars".to_owned()));
}

#[test]
fn forwards_are_two_ports() {
    assert_eq!("8080:80".parse(), Ok(Forward { host: 8080, guest: 80 }));
    for wrong in ["", "80", "0:80", "80:0", "a:b", "127.0.0.1:80:80", "70000:80"] {
        assert!(wrong.parse::<Forward>().is_err(), "{wrong}");
    }
}

#[test]
fn credentials_have_file_names_and_do_not_show_in_logs() {
    let credential: Credential = "passwd.hashed-password.root=a=b".parse().unwrap();
    assert_eq!((credential.name.as_str(), credential.value.as_slice()), ("passwd.hashed-password.root", b"a=b".as_slice()));
    assert!(!format!("{credential:?}").contains("a=b"));
    for wrong in ["", "name", "=x", "a/b=x", "..=x", "a b=x", "a,b=x"] {
        assert!(wrong.parse::<Credential>().is_err(), "{wrong}");
    }
}
