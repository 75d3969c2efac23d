//! Which source counts when there are several, and that looking asks nobody.

use cloud_config::source::detect::look;

use crate::case::Case;
use crate::host::Recorded;
use crate::replay;

/// A machine that has every local source and names a platform.
const EVERYTHING: &str = "Everything at once.

== file /proc/cmdline
cloud-config-url=http://10.0.2.2/c ds=nocloud;s=http://10.0.2.2/a/
== file /run/credentials/@system/slipway.cloud-config
#cloud-config of smbios
== file /sys/class/dmi/id/product_serial
ds=nocloud;s=http://10.0.2.2/b/
== file /sys/firmware/qemu_fw_cfg/by_name/opt/org.slipway/config/raw
#cloud-config of fw_cfg
== device /dev/sr0 iso9660 config-2
== device /dev/sr1 iso9660 cidata
== device /dev/vda6 ext4 oem partition=oem disk=/dev/vda
== file /sys/class/dmi/id/sys_vendor
Amazon EC2
== file /etc/slipway/cloud-config.yaml
#cloud-config of file
";

#[test]
fn looking_finds_all_leads_in_their_order_and_asks_nobody() {
    let host = Recorded::new(Case::parse(EVERYTHING));
    let detection = look(&host);
    let leads: Vec<&str> = detection.leads.iter().map(|lead| lead.source.name()).collect();
    assert_eq!(leads, ["cmdline", "nocloud", "smbios", "nocloud", "fw-cfg", "config-drive", "nocloud", "ec2", "file", "oem"]);
    assert!(host.asked.borrow().is_empty());
    assert!(detection.evidence.len() > 8);
    insta::assert_snapshot!(serde_json::to_string_pretty(&detection).unwrap());
}

#[test]
fn a_config_drive_can_be_told_not_to_count() {
    let text = "A drive, and a word against it.\n\n== device /dev/sr0 iso9660 config-2\n== file /proc/cmdline\ncoreos.configdrive=0\n";
    assert!(look(&Recorded::new(Case::parse(text))).leads.is_empty());
}

#[test]
fn sources_without_user_data_still_say_what_they_know() {
    let text = "A drive with metadata alone, and a file.

== device /dev/sr0 iso9660 config-2
== on /dev/sr0 openstack/latest/meta_data.json
{\"hostname\": \"drive\", \"public_keys\": {\"me\": \"ssh-rsa AAAA me\"}}
== file /run/credentials/@system/slipway.metadata
{\"hostname\": \"credential\", \"private_ipv4\": \"10.0.0.5\"}
== file /etc/slipway/cloud-config.yaml
#cloud-config
";
    let found = replay(text).0.unwrap();
    assert_eq!((found.source.name(), found.user_data.len()), ("file", 1));
    assert_eq!(found.metadata.hostname.as_deref(), Some("credential"), "the earlier source counts");
    assert_eq!(found.metadata.ssh_authorized_keys.len(), 1);
    assert!(found.metadata.private_ipv4.is_some());
}

#[test]
fn a_broken_source_ends_the_search() {
    let text = "A drive that is too large, and a file below it.

== device /dev/sr0 iso9660 config-2
== on /dev/sr0 openstack/latest/user_data fill=1048577
== file /etc/slipway/cloud-config.yaml
#cloud-config
";
    let error = replay(text).0.unwrap_err().to_string();
    assert!(error.starts_with("data source config-drive: "), "{error}");
}
