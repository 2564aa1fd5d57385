//! Maps with weak keys and weak values.

use std::cell::RefCell;

use wrasse::{Gc, Trace, WeakKeyMap, WeakValueMap, gc};

#[derive(Trace, Default)]
struct Node {
    edges: RefCell<Vec<Gc<Node>>>,
}

#[test]
fn an_entry_goes_with_its_key() {
    let mut map = WeakKeyMap::new();
    let keys: Vec<Gc<u64>> = (0..100).map(Gc::new).collect();
    for key in &keys {
        assert!(map.insert(key, Gc::new(key.to_string())).is_none());
    }
    assert_eq!(map.len(), 100);
    assert_eq!(*map.get(&keys[7]).unwrap(), "7");
    assert_eq!(*map.insert(&keys[7], Gc::new("seven".into())).unwrap(), "7");
    assert_eq!(*map.remove(&keys[7]).unwrap(), "seven");
    assert!(!map.contains_key(&keys[7]) && map.contains_key(&keys[8]));
    let value = map.get(&keys[50]).unwrap();
    assert_eq!(Gc::ref_count(&value), 2);
    drop(keys);
    assert_eq!(Gc::ref_count(&value), 1, "values go with their keys");
    assert!(map.is_empty() && map.iter().next().is_none());
    // New keys at the old addresses.
    let keys: Vec<Gc<u64>> = (0..100).map(Gc::new).collect();
    assert!(keys.iter().all(|key| map.get(key).is_none()));
}

#[test]
fn a_value_that_refers_to_its_key() {
    let mut map: WeakKeyMap<String, Node> = WeakKeyMap::new();
    #[derive(Trace)]
    struct About(Gc<String>, RefCell<Option<Gc<About>>>);
    let mut about: WeakKeyMap<String, About> = WeakKeyMap::new();
    let key = Gc::new(String::from("key"));
    let weak = Gc::downgrade(&key);
    about.insert(&key, Gc::new(About(key.clone(), RefCell::default())));
    map.insert(&key, Gc::new(Node::default()));
    assert_eq!(gc::collect(), 0);
    assert!(about.get(&key).is_some());
    drop(key);
    assert!(weak.upgrade().is_some());
    gc::collect();
    assert!(weak.upgrade().is_none());
    assert_eq!((about.len(), map.len()), (0, 0));
    assert_eq!(gc::objects().len(), 0);
}

#[test]
fn keys_and_values_in_a_circle_through_several_maps() {
    let mut maps: Vec<WeakKeyMap<Node, Node>> = (0..3).map(|_| WeakKeyMap::new()).collect();
    let nodes: Vec<Gc<Node>> = (0..3).map(|_| Gc::default()).collect();
    for index in 0..3 {
        let value = Gc::new(Node::default());
        value
            .edges
            .borrow_mut()
            .push(nodes[(index + 1) % 3].clone());
        maps[index].insert(&nodes[index], value);
    }
    let first = nodes[0].clone();
    drop(nodes);
    gc::collect();
    assert_eq!(gc::objects().len(), 6, "each is kept by the one before");
    drop(first);
    gc::collect();
    gc::collect();
    assert_eq!(gc::objects().len(), 0);
    assert!(maps.iter().all(WeakKeyMap::is_empty));
}

#[test]
fn values_go_with_their_map() {
    let key = Gc::new(1);
    let mut map = WeakKeyMap::new();
    let value = Gc::new(String::from("value"));
    map.insert(&key, value.clone());
    drop(map);
    assert_eq!(Gc::ref_count(&value), 1);
    // A map that is garbage together with its keys and values.
    type Map = WeakKeyMap<Holder, Holder>;
    #[derive(Trace, Default)]
    struct Holder(RefCell<Map>, RefCell<Option<Gc<Holder>>>);
    let holder: Gc<Holder> = Gc::default();
    holder.0.borrow_mut().insert(&holder, holder.clone());
    *holder.1.borrow_mut() = Some(holder.clone());
    drop(holder);
    gc::collect();
    gc::collect();
    assert_eq!(gc::objects().len(), 1, "the key of before");
}

#[test]
fn an_entry_goes_with_its_value() {
    let mut map = WeakValueMap::new();
    let values: Vec<Gc<usize>> = (0..100).map(Gc::new).collect();
    for value in &values {
        map.insert(value.to_string(), value);
    }
    assert_eq!((map.len(), map.iter().count()), (100, 100));
    assert!(Gc::ptr_eq(&map.get("5").unwrap(), &values[5]));
    assert_eq!(*map.remove("5").unwrap(), 5);
    drop(values);
    assert!(map.is_empty() && map.get("6").is_none());
}
