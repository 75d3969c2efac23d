use super::*;

fn yaml(text: &str) -> Fields {
    Fields::yaml("network-config", text.as_bytes().to_vec()).unwrap()
}

fn files(text: &str) -> String {
    let files = render(&Network::cloud_init(&yaml(text)).unwrap());
    files.iter().map(|file| format!("== {}\n{}", file.name, file.content)).collect()
}

#[test]
fn version_2_with_a_fixed_address() {
    let text = "
network:
  version: 2
  ethernets:
    nic0:
      match: {macaddress: '52:54:00:AA:bb:01'}
      set-name: eth0
      addresses: [192.0.2.7/24, '2001:db8::7/64']
      gateway4: 192.0.2.1
      routes:
        - {to: 198.51.100.0/24, via: 192.0.2.2, metric: 50}
        - {to: default, via: 'fe80::1'}
      nameservers: {addresses: [192.0.2.53], search: [example.org]}
      mtu: 1400
    eth1: {dhcp4: true, dhcp6: true}
";
    insta::assert_snapshot!(files(text));
}

#[test]
fn version_1_as_hosters_write_it() {
    let text = "
version: 1
config:
  - type: physical
    name: eth0
    mac_address: '52:54:00:aa:bb:02'
    subnets:
      - {type: static, address: 192.0.2.7, netmask: 255.255.255.0, gateway: 192.0.2.1, dns_nameservers: [192.0.2.53]}
      - {type: static6, address: '2001:db8::7/64', gateway: 'fe80::1'}
  - type: physical
    name: eth1
    subnets: [{type: dhcp}]
  - {type: nameserver, address: 192.0.2.54, search: example.org}
";
    insta::assert_snapshot!(files(text));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let cases = [
        ("{}", "neither 1 nor 2"),
        ("version: 3", "version"),
        ("version: 2\nbonds: {bond0: {interfaces: [a, b]}}", "bonds"),
        ("version: 2\nnetwork: 7\nethernets: {eth0: {addresses: [192.0.2.7]}}", ""),
        ("version: 2\nethernets: {eth0: {addresses: [192.0.2.7/33]}}", "192.0.2.7/33"),
        ("version: 2\nethernets: {eth0: {addresses: 192.0.2.7/24}}", "a list is wanted"),
        ("version: 2\nethernets: {eth0: {link-local: []}}", "link-local"),
        ("version: 2\nethernets: {eth0: {dhcp4: maybe}}", "true or false"),
        ("version: 2\nethernets: {'eth0\\nName=*': {dhcp4: true}}", "not the name"),
        ("version: 2\nethernets: {a-name-that-is-far-too-long: {dhcp4: true}}", "not the name"),
        ("version: 2\nethernets: {x: {match: {macaddress: 'ff:ff:ff:ff:ff:ff'}}}", "hardware address"),
        ("version: 2\nethernets: {x: {match: {macaddress: '52:54:00:aa:bb'}}}", "hardware address"),
        ("version: 2\nethernets: {x: {match: {name: '*'}, dhcp4: true}}", "not the name"),
        ("version: 2\nethernets: {e: {nameservers: {search: ['a b']}}}", "host name"),
        ("version: 2\nethernets: {e: {routes: [{to: 192.0.2.0/24}]}}", "via"),
        ("version: 2\nethernets: {e: {mtu: 70000}}", "65535"),
        ("version: 1\nconfig: [{type: bond, name: b}]", "bond"),
        ("version: 1\nconfig: [{type: physical}]", "name"),
        ("version: 1\nconfig: [{type: physical, name: e, subnets: [{type: static}]}]", "address"),
        (
            "version: 1\nconfig: [{type: physical, name: e, subnets: [{type: static, address: 192.0.2.7, netmask: 255.0.255.0}]}]",
            "192.0.2.7",
        ),
        ("version: 1\nconfig: [{type: physical, name: e}, {type: physical, name: e}]", "second time"),
    ];
    for (text, word) in cases {
        match Network::cloud_init(&yaml(text)) {
            Ok(network) => assert_eq!(word, "", "{text}: {network:?}"),
            Err(error) => assert!(error.to_string().contains(word), "{text}: {error}"),
        }
    }
    let many: String = (0..=LINKS).map(|n| format!("  e{n}: {{dhcp4: true}}\n")).collect();
    assert!(Network::cloud_init(&yaml(&format!("version: 2\nethernets:\n{many}"))).is_err());
}

#[test]
fn openstack_describes_links_networks_and_services() {
    let text = r#"{"links": [{"id": "tap1", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01", "mtu": 1450}],
        "networks": [{"id": "n0", "link": "tap1", "type": "ipv4", "ip_address": "192.0.2.7", "netmask": "255.255.255.0",
            "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}]},
          {"id": "n1", "link": "tap1", "type": "ipv6_slaac"}],
        "services": [{"type": "dns", "address": "192.0.2.53"}]}"#;
    let network = Network::openstack(&Fields::json("network_data.json", text.as_bytes()).unwrap()).unwrap();
    assert!(network.is_static());
    insta::assert_snapshot!(render(&network)[0].content);
    for (wrong, word) in [
        (r#"{"links": [{"id": "b", "type": "bond"}]}"#, "bond"),
        (r#"{"links": [{"type": "phy"}]}"#, "id"),
        (r#"{"links": [{"id": "a", "type": "phy"}]}"#, "recognise"),
        (r#"{"networks": [{"link": "x", "type": "ipv4_dhcp"}]}"#, "no such link"),
    ] {
        let error = Network::openstack(&Fields::json("network_data.json", wrong.as_bytes()).unwrap()).unwrap_err();
        assert!(error.to_string().contains(word), "{wrong}: {error}");
    }
}

#[test]
fn prefixes_and_masks() {
    for (text, usual, shown) in [
        ("192.0.2.7/24", None, Some("192.0.2.7/24")),
        ("192.0.2.7", Some("255.255.255.128"), Some("192.0.2.7/25")),
        ("192.0.2.7", Some("24"), Some("192.0.2.7/24")),
        ("192.0.2.7", None, Some("192.0.2.7/32")),
        ("2001:db8::7", Some("ffff:ffff::"), Some("2001:db8::7/32")),
        ("2001:db8::7/129", None, None),
        ("192.0.2.7/+24", None, None),
        ("192.0.2.7/", None, None),
        ("192.0.2.7/24/8", None, None),
        ("", None, None),
    ] {
        assert_eq!(Cidr::parse(text, usual).map(|cidr| cidr.to_string()).as_deref(), shown, "{text}");
    }
    let network = Cidr::parse("192.0.2.7/24", None).unwrap();
    assert!(network.contains("192.0.2.255".parse().unwrap()) && !network.contains("192.0.3.1".parse().unwrap()));
    assert!(!network.contains("::1".parse().unwrap()));
    assert!(Cidr::parse("0.0.0.0/0", None).unwrap().contains("8.8.8.8".parse().unwrap()));
}
