//! Pieces against connected components by search.

use proptest::prelude::*;
use wrasse_collector::Pieces;

/// The smallest number that each object is connected with.
fn components(count: usize, edges: &[(u32, u32)]) -> Vec<u32> {
    let mut names: Vec<u32> = (0..count as u32).collect();
    loop {
        let before = names.clone();
        for &(one, other) in edges {
            let name = names[one as usize].min(names[other as usize]);
            (names[one as usize], names[other as usize]) = (name, name);
        }
        if names == before {
            return names;
        }
    }
}

fn graph() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (1usize..60).prop_flat_map(|count| {
        let object = 0..count as u32;
        let edges = prop::collection::vec((object.clone(), object), 0..80);
        (Just(count), edges)
    })
}

proptest! {
    #[test]
    fn no_piece_is_divided_and_no_batch_too_large((count, edges) in graph(), most in 1usize..40) {
        let mut pieces = Pieces::with_room(count).unwrap();
        // In steps, as a collection in slices does it.
        while !pieces.enter(7) {}
        for &(one, other) in &edges {
            pieces.refer(other);
            pieces.join(one, other);
        }
        let names = components(count, &edges);
        let batches: Vec<u32> = (0..count as u32).map(|each| pieces.batch(each, most)).collect();
        for one in 0..count {
            let expected = edges.iter().filter(|edge| edge.1 as usize == one).count();
            prop_assert_eq!(pieces.references(one as u32) as usize, expected);
            for other in 0..count {
                prop_assert!(names[one] != names[other] || batches[one] == batches[other]);
            }
        }
        let last = *batches.iter().max().unwrap();
        for batch in 0..=last {
            let members: Vec<usize> = (0..count).filter(|&each| batches[each] == batch).collect();
            prop_assert!(!members.is_empty());
            let one_piece = members.iter().all(|&each| names[each] == names[members[0]]);
            prop_assert!(members.len() <= most || one_piece, "{} objects", members.len());
        }
        // As few batches as their order allows: no two neighbours would fit into one.
        let sizes: Vec<usize> =
            (0..=last).map(|batch| batches.iter().filter(|&&each| each == batch).count()).collect();
        for (number, pair) in sizes.windows(2).enumerate() {
            let first = (0..count).find(|&each| batches[each] == number as u32 + 1).unwrap();
            let next = names.iter().filter(|&&name| name == names[first]).count();
            prop_assert!(pair[0] + next > most);
        }
    }
}

#[test]
fn more_objects_than_numbers_are_refused() {
    assert!(Pieces::with_room(usize::MAX / 8).is_none());
    assert!(Pieces::with_room(0).is_some());
}
