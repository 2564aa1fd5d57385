//! Types of other crates.

#[cfg(any(feature = "hashbrown", feature = "indexmap", feature = "smallvec"))]
mod containers {
    use wrasse::{Gc, Trace, gc};

    /// How many references `value` reports.
    fn reported<T: Trace>(value: T) -> usize {
        gc::referents(&Gc::new(value)).len()
    }

    fn leaf() -> Gc<Vec<Gc<u8>>> {
        Gc::new(Vec::new())
    }

    #[test]
    #[cfg(feature = "hashbrown")]
    fn of_hashbrown() {
        let map: hashbrown::HashMap<_, _, std::hash::RandomState> =
            [(1, leaf()), (2, leaf())].into_iter().collect();
        assert_eq!(reported(map), 2);
        let set: hashbrown::HashSet<_, std::hash::RandomState> = [leaf()].into_iter().collect();
        assert_eq!(reported(set), 1);
    }

    #[test]
    #[cfg(feature = "indexmap")]
    fn of_indexmap() {
        assert_eq!(reported(indexmap::IndexMap::from([(leaf(), leaf())])), 2);
        assert_eq!(reported(indexmap::IndexSet::from([leaf()])), 1);
    }

    #[test]
    #[cfg(feature = "smallvec")]
    fn of_smallvec() {
        let inside: smallvec::SmallVec<[_; 4]> = smallvec::smallvec![leaf(), leaf()];
        assert_eq!(reported(inside), 2);
        let outside: smallvec::SmallVec<[_; 1]> = smallvec::smallvec![leaf(), leaf(), leaf()];
        assert_eq!(reported(outside), 3);
    }
}

#[test]
#[cfg(feature = "serde")]
fn serialized_as_the_value() {
    use wrasse::Gc;
    let text = serde_json::to_string(&vec![Gc::new(1), Gc::new(2)]).unwrap();
    assert_eq!(text, "[1,2]");
    let back: Vec<Gc<u8>> = serde_json::from_str(&text).unwrap();
    assert_eq!(*back[1], 2);
    let slice: Gc<[String]> = serde_json::from_str("[\"a\", \"b\"]").unwrap();
    assert_eq!(serde_json::to_string(&slice).unwrap(), "[\"a\",\"b\"]");
}
