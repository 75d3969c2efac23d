use super::*;

const EC2_UUID: &str = "ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8";

/// `vendor|product|serial|uuid|chassis tag|hypervisor uuid`, trailing fields may be missing; and what it is.
const MACHINES: &[(&str, Option<Platform>)] = &[
    // Amazon
    ("Amazon EC2|m5.large|ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8|ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8|Amazon EC2", Some(Platform::Ec2)),
    ("Amazon EC2|c7g.medium|||Amazon EC2", Some(Platform::Ec2)),
    ("Amazon EC2|i3.metal|0123456789", Some(Platform::Ec2)),
    ("Amazon EC2", Some(Platform::Ec2)),
    ("Xen|HVM domU|ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8|EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8", Some(Platform::Ec2)),
    ("Xen|HVM domU|EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8|EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8", Some(Platform::Ec2)),
    ("Xen|HVM domU||EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8||ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8", Some(Platform::Ec2)),
    // and machines that look like it
    ("Xen|HVM domU||EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8", None),
    ("Xen|HVM domU|7777|EC2A1B2C-3D4E-5F60-7182-93A4B5C6D7E8", None),
    ("Xen|HVM domU|7777|7777|", None),
    ("QEMU|Standard PC (Q35 + ICH9, 2009)||ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8", None),
    ("QEMU|Standard PC (Q35 + ICH9, 2009)|ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8|ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8", None),
    ("Amazon|EC2", None),
    ("Amazon EC2 compatible|m5.large", None),
    ("amazon ec2|m5.large", None),
    ("e24cloud|HVM domU", None),
    ("Not Amazon EC2|m5.large", None),
    // Google
    ("Google|Google Compute Engine|GoogleCloud-0123456789ABCDEF0123456789ABCDEF", Some(Platform::Gce)),
    ("Google|Google Compute Engine", Some(Platform::Gce)),
    ("Google|Google|GoogleCloud-0123456789ABCDEF", Some(Platform::Gce)),
    // a Chromebook, and others
    ("Google|Eve", None),
    ("GOOGLE|Link|5CD1234", None),
    ("Google|Google|C02XXXX", None),
    ("Acme|Server|GoogleCloud-0123456789ABCDEF", None),
    ("Google|Google Compute Engines", None),
    // Microsoft
    ("Microsoft Corporation|Virtual Machine|||7783-7084-3265-9085-8269-3286-77", Some(Platform::Azure)),
    ("Microsoft Corporation|Virtual Machine|0000-0005|ec2a1b2c-0000|7783-7084-3265-9085-8269-3286-77", Some(Platform::Azure)),
    // Hyper-V in somebody's cellar
    ("Microsoft Corporation|Virtual Machine|||1234-5678-9012-3456-7890-1234-56", None),
    ("Microsoft Corporation|Virtual Machine", None),
    ("Microsoft Corporation|Surface Pro|||0", None),
    ("Microsoft Corporation|Virtual Machine|||7783-7084-3265-9085-8269-3286-7", None),
    // DigitalOcean
    ("DigitalOcean|Droplet|123456789", Some(Platform::DigitalOcean)),
    ("DigitalOcean", Some(Platform::DigitalOcean)),
    ("Digital Ocean|Droplet", None),
    ("digitalocean|Droplet", None),
    ("QEMU|Droplet", None),
    // Hetzner
    ("Hetzner|vServer|12345678", Some(Platform::Hetzner)),
    ("Hetzner|vServer", Some(Platform::Hetzner)),
    ("Hetzner Online|EX44", None),
    ("Hetzner2|vServer", None),
    ("FUJITSU|D3401-H1|Hetzner", None),
    // OpenStack
    ("OpenStack Foundation|OpenStack Nova", Some(Platform::OpenStack)),
    ("OpenStack Foundation|OpenStack Compute", Some(Platform::OpenStack)),
    ("Red Hat|OpenStack Compute", Some(Platform::OpenStack)),
    ("RDO|OpenStack Compute", Some(Platform::OpenStack)),
    ("Fedora Project|OpenStack Nova", Some(Platform::OpenStack)),
    ("QEMU|Standard PC (i440FX + PIIX, 1996)|||OpenTelekomCloud", Some(Platform::OpenStack)),
    ("Huawei|KVM|||HUAWEICLOUD", Some(Platform::OpenStack)),
    ("SAP|Converged Cloud|||SAP CCloud VM", Some(Platform::OpenStack)),
    ("VMware, Inc.|VMware Virtual Platform|VMware-42|||", Some(Platform::VMware)),
    ("VMware, Inc.|VMware Virtual Platform|VMware-42||OpenStack Nova", Some(Platform::OpenStack)),
    ("QEMU|OpenStack", None),
    ("QEMU|Openstack Nova", None),
    ("OpenStack|Nova", None),
    ("Huawei|2288H V5|||HUAWEI", None),
    // VMware
    ("VMware, Inc.|VMware7,1|VMware-56 4d 01", Some(Platform::VMware)),
    ("VMware, Inc.|VMware20,1", Some(Platform::VMware)),
    ("VMware|VMware7,1", None),
    ("Dell Inc.|PowerEdge R740|VMware-56 4d 01", None),
    ("VMW|VMware7,1", None),
    ("innotek GmbH|VirtualBox|0", None),
    // machines with nothing but local sources, and platforms without a source here
    ("QEMU|Standard PC (Q35 + ICH9, 2009)", None),
    ("QEMU|Standard PC (Q35 + ICH9, 2009)|ds=nocloud;s=http://10.0.2.2/", None),
    ("KubeVirt|None", None),
    ("Proxmox|VM", None),
    ("Red Hat|KVM", None),
    ("Alibaba Cloud|Alibaba Cloud ECS", None),
    ("Vultr|VC2", None),
    ("Scaleway|SCW-DEV1-S", None),
    ("QEMU|KVM|||OracleCloud.com", None),
    ("Dell Inc.|PowerEdge R6515|ABC1234", None),
    ("Supermicro|SYS-1029P|Default string|||", None),
    ("To Be Filled By O.E.M.|To Be Filled By O.E.M.", None),
    ("", None),
];

fn dmi(machine: &str) -> Dmi {
    let mut fields = machine.split('|').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    Dmi {
        sys_vendor: next(),
        product_name: next(),
        product_serial: next(),
        product_uuid: next(),
        chassis_asset_tag: next(),
        hypervisor_uuid: next(),
    }
}

#[test]
fn platforms_are_told_by_their_own_words_and_look_alikes_are_not() {
    for (machine, platform) in MACHINES {
        let found = Platform::of(&dmi(machine));
        assert_eq!(found.as_ref().map(|(platform, _)| *platform), *platform, "{machine}");
        assert!(found.is_none_or(|(_, why)| !why.is_empty()));
    }
    assert!(MACHINES.len() >= 60);
    let strangers = MACHINES.iter().filter(|(_, platform)| platform.is_none()).count();
    assert!(strangers >= MACHINES.len() / 2, "look-alikes matter at least as much: {strangers} of {}", MACHINES.len());
}

#[test]
fn no_field_alone_names_a_platform_with_a_word_from_another_field() {
    for word in ["Amazon EC2", "DigitalOcean", "Hetzner", "VMware, Inc.", "GoogleCloud-1", AZURE_TAG, EC2_UUID] {
        let serial_only = Dmi { product_serial: word.to_owned(), ..Dmi::default() };
        assert_eq!(Platform::of(&serial_only), None, "{word}");
    }
    for word in ["Amazon EC2", "DigitalOcean", "Hetzner", "VMware, Inc."] {
        assert_eq!(Platform::of(&Dmi { product_name: word.to_owned(), ..Dmi::default() }), None, "{word}");
        assert_eq!(Platform::of(&Dmi { chassis_asset_tag: word.to_owned(), ..Dmi::default() }), None, "{word}");
    }
}

#[test]
fn platforms_without_a_source_are_called_by_their_name() {
    for (machine, name) in [
        ("Vultr|VC2", Some("Vultr")),
        ("Alibaba Cloud|Alibaba Cloud ECS", Some("Alibaba Cloud")),
        ("QEMU|KVM|||OracleCloud.com", Some("Oracle Cloud")),
        ("Nutanix|AHV", Some("Nutanix")),
        ("QEMU|Standard PC", None),
        ("Amazon EC2|m5.large", None),
    ] {
        assert_eq!(without_source(&dmi(machine)), name, "{machine}");
    }
}
