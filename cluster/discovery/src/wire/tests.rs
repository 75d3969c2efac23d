use proptest::prelude::*;

use super::*;

/// Word for word what etcd answers.
const LIST: &str = r#"{"action":"get","node":{"key":"/_etcd/registry/t","dir":true,"nodes":[
    {"key":"/_etcd/registry/t/b","value":"n2=http://10.0.0.2:2380","modifiedIndex":9,"createdIndex":9},
    {"key":"/_etcd/registry/t/_config","dir":true,"modifiedIndex":2,"createdIndex":2},
    {"key":"/_etcd/registry/t/a","value":"n1=http://10.0.0.1:2380","modifiedIndex":7,"createdIndex":7}],"modifiedIndex":3,"createdIndex":3}}"#;

#[test]
fn what_etcd_writes_is_read() {
    let list = Answer::parse(LIST.as_bytes()).unwrap().members().unwrap();
    assert_eq!(list.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
    let empty = Answer::parse(br#"{"action":"get","node":{"key":"/t","dir":true}}"#).unwrap();
    assert_eq!(empty.members().unwrap(), []);
    let size = r#"{"action":"get","node":{"key":"/t/_config/size","value":"3","modifiedIndex":2,"createdIndex":2}}"#;
    assert_eq!(Answer::parse(size.as_bytes()).unwrap().size().unwrap(), 3);
    assert_eq!(serde_json::to_string(&Answer::parse(size.as_bytes()).unwrap()).unwrap(), size);
    let event = Answer::parse(br#"{"action":"compareAndSwap","node":{"key":"/t/a","value":"x"},"prevNode":{"key":"/t/a"}}"#).unwrap();
    assert_eq!(event.action, Action::Other);
    let fault: Fault = serde_json::from_str(r#"{"errorCode":105,"message":"Key already exists","cause":"/t/a","index":4}"#).unwrap();
    assert_eq!((fault.status(), &fault), (412, &Fault::new(code::EXISTS, "/t/a", 4)));
}

#[test]
fn what_is_none_is_refused() {
    for wrong in
        ["", "{}", "[]", "404 page not found", r#"{"action":"get"}"#, r#"{"action":1,"node":{}}"#, r#"{"action":"get","node":{"nodes":1}}"#]
    {
        assert!(Answer::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(Answer::parse(&vec![b' '; ANSWER_MAX + 1]).is_err());
    assert!(Answer::parse("{\"action\":\"get\",\"node\":{\"nodes\":[".repeat(500).as_bytes()).is_err());
    for size in ["", "0", "-1", "three", "3.0", "257", "99999999999999999999"] {
        let answer = Answer { action: Action::Get, node: Node { value: Some(size.to_owned()), ..Node::default() }, prev_node: None };
        assert!(answer.size().is_err(), "{size}");
    }
    let of = |nodes| Answer { action: Action::Get, node: Node { nodes, ..Node::default() }, prev_node: None };
    let entry = |value: &str| Node { key: "/t/a".to_owned(), value: Some(value.to_owned()), ..Node::default() };
    assert!(of(vec![entry("n1")]).members().unwrap_err().to_string().contains("curl -X DELETE"));
    assert!(matches!(of(vec![entry("n=http://h:1"); MEMBERS_MAX + 1]).members(), Err(WrongAnswer::Many)));
}

proptest! {
    #[test]
    fn the_order_is_that_of_coming_whatever_the_order_on_the_wire(mut indexes in prop::collection::hash_set(1u64.., 0..40)) {
        let nodes: Vec<Node> = indexes.drain().map(|index| Node {
            key: format!("{REGISTRY}/t/{index}"),
            value: Some(format!("n{index}=http://h:1")),
            created_index: index,
            ..Node::default()
        }).collect();
        let count = nodes.len();
        let answer = Answer { action: Action::Get, node: Node { dir: true, nodes, ..Node::default() }, prev_node: None };
        let again = Answer::parse(&serde_json::to_vec(&answer).unwrap()).unwrap();
        let order: Vec<u64> = again.members().unwrap().iter().map(|member| member.id.parse().unwrap()).collect();
        prop_assert!(order.is_sorted());
        prop_assert_eq!(order.len(), count);
    }

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Answer::parse(&bytes).map(|answer| (answer.size().is_ok(), answer.members().is_ok()));
    }
}
