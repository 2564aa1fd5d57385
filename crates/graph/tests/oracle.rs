//! Every answer beside a naive one, on random graphs.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use wrasse_graph::{
    AddressIndex, Builder, Contraction, Dominators, Graph, Node, Paths, Retained, Survey,
    components, shortest_cycle,
};

/// Rows of targets, sizes by node number, and roots.
#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Vec<Node>>,
    roots: Vec<Node>,
}

fn size(node: Node) -> u64 {
    match node {
        3 => (1 << 32) - 1,
        4 => (1 << 32) + 7,
        _ => 16 + u64::from(node) * u64::from(node),
    }
}

fn kind(node: Node) -> u32 {
    node % 3
}

impl Case {
    fn graph(&self) -> Graph {
        let references = self.rows.iter().map(Vec::len).sum();
        let mut builder = Builder::new(self.rows.len(), references).unwrap();
        for (node, row) in self.rows.iter().enumerate() {
            for &target in row {
                builder.reference(target).unwrap();
            }
            builder
                .node(kind(node as Node), size(node as Node))
                .unwrap();
        }
        let mut graph = builder.finish();
        graph.set_roots(self.roots.clone());
        graph
    }

    /// How far each node is from `starts`, without going through `barrier`.
    fn distances(&self, starts: &[Node], barrier: Option<Node>) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.rows.len()];
        let mut queue = VecDeque::new();
        for &start in starts {
            if distances[start as usize].is_none() {
                distances[start as usize] = Some(0);
                queue.push_back(start);
            }
        }
        while let Some(node) = queue.pop_front() {
            if Some(node) == barrier {
                continue;
            }
            for &target in &self.rows[node as usize] {
                if distances[target as usize].is_none() {
                    distances[target as usize] = distances[node as usize].map(|d| d + 1);
                    queue.push_back(target);
                }
            }
        }
        distances
    }

    fn reachable(&self, starts: &[Node], without: Option<Node>) -> Vec<bool> {
        let distances = self.distances(starts, without);
        let mut reached: Vec<bool> = distances.iter().map(Option::is_some).collect();
        if let Some(without) = without {
            reached[without as usize] = false;
        }
        reached
    }
}

fn cases(nodes: usize, degree: usize) -> impl Strategy<Value = Case> {
    (1..=nodes).prop_flat_map(move |count| {
        let node = 0..count as Node;
        (
            prop::collection::vec(prop::collection::vec(node.clone(), 0..=degree), count),
            prop::collection::vec(node, 0..=3),
        )
            .prop_map(|(rows, roots)| Case { rows, roots })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_node_dominates_what_is_lost_without_it(case in cases(24, 3)) {
        let graph = case.graph();
        let tree = Dominators::of(&graph).unwrap();
        let places = tree.places().unwrap();
        let alive = case.reachable(&case.roots, None);
        prop_assert_eq!(tree.first_unreached() - 1, alive.iter().filter(|a| **a).count());
        for node in graph.nodes() {
            let place = places[node as usize] as usize;
            prop_assert_eq!(tree.node(place), node);
            prop_assert!(tree.dominator(place) < place);
            prop_assert_eq!(place < tree.first_unreached(), alive[node as usize]);
        }
        let retained = tree.retained(&graph).unwrap();
        prop_assert_eq!(retained[0], graph.nodes().map(size).sum::<u64>());
        for node in graph.nodes().filter(|node| alive[*node as usize]) {
            let left = case.reachable(&case.roots, Some(node));
            let lost: BTreeSet<Node> =
                graph.nodes().filter(|n| alive[*n as usize] && !left[*n as usize]).collect();
            let dominated: BTreeSet<Node> = graph
                .nodes()
                .filter(|other| {
                    let mut place = places[*other as usize] as usize;
                    while place != 0 && tree.node(place) != node {
                        place = tree.dominator(place);
                    }
                    place != 0
                })
                .collect();
            prop_assert_eq!(&lost, &dominated);
            let bytes: u64 = lost.iter().map(|n| size(*n)).sum();
            prop_assert_eq!(retained[places[node as usize] as usize], bytes);
        }
    }

    #[test]
    fn a_kind_retains_what_its_outermost_nodes_retain(case in cases(24, 3)) {
        let graph = case.graph();
        let tree = Dominators::of(&graph).unwrap();
        let retained = tree.retained(&graph).unwrap();
        let sums = tree.retained_by_kind(&graph, &retained, 3).unwrap();
        let mut expected = [0; 3];
        for (place, bytes) in retained.iter().enumerate().skip(1) {
            let own = kind(tree.node(place));
            let mut above = tree.dominator(place);
            while above != 0 && kind(tree.node(above)) != own {
                above = tree.dominator(above);
            }
            if above == 0 {
                expected[own as usize] += bytes;
            }
        }
        prop_assert_eq!(sums, expected);
    }

    #[test]
    fn paths_are_shortest(case in cases(24, 3), barrier in prop::option::of(0..24_u32)) {
        let graph = case.graph();
        let barrier = barrier.filter(|node| (*node as usize) < graph.len());
        let (first, second) = case.roots.split_at(case.roots.len().min(1));
        let paths = Paths::from(&graph, &[first, second], barrier).unwrap();
        let by_first = case.distances(first, barrier);
        let by_any = case.distances(&case.roots, barrier);
        let lengths = paths.lengths().unwrap();
        for node in graph.nodes() {
            let path = paths.to(node).unwrap();
            prop_assert_eq!(path.len(), lengths[node as usize] as usize);
            prop_assert_eq!(!path.is_empty(), paths.reaches(node));
            prop_assert_eq!(paths.reaches(node), by_any[node as usize].is_some());
            let Some(&start) = path.first() else { continue };
            prop_assert_eq!(path.last(), Some(&node));
            prop_assert!(path.windows(2).all(|step| case.rows[step[0] as usize].contains(&step[1])));
            match by_first[node as usize] {
                Some(distance) => {
                    prop_assert_eq!(path.len(), distance + 1);
                    prop_assert!(first.contains(&start));
                }
                None => prop_assert!(second.contains(&start)),
            }
        }
    }

    #[test]
    fn components_are_mutually_reachable(case in cases(24, 2), left_out in 0..24_u32) {
        let graph = case.graph();
        let belongs = |node: Node| node != left_out;
        let mut found = BTreeSet::new();
        components(&graph, belongs, |members| {
            found.insert(members.iter().copied().collect::<BTreeSet<_>>());
            Ok(())
        })
        .unwrap();
        let mut inside = case.clone();
        for (node, row) in inside.rows.iter_mut().enumerate() {
            row.retain(|target| belongs(*target) && belongs(node as Node));
        }
        let reach: Vec<Vec<bool>> =
            graph.nodes().map(|node| inside.reachable(&[node], None)).collect();
        let mut expected = BTreeSet::new();
        for node in graph.nodes().filter(|node| belongs(*node)) {
            let members: BTreeSet<Node> = graph
                .nodes()
                .filter(|other| {
                    reach[node as usize][*other as usize] && reach[*other as usize][node as usize]
                })
                .collect();
            if members.len() > 1 || inside.rows[node as usize].contains(&node) {
                expected.insert(members);
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn cycles_are_shortest(case in cases(16, 2), left_out in 0..16_u32) {
        let graph = case.graph();
        for node in graph.nodes().filter(|node| *node != left_out) {
            let cycle = shortest_cycle(&graph, node, |other| other != left_out).unwrap();
            let mut inside = case.clone();
            if let Some(row) = inside.rows.get_mut(left_out as usize) {
                row.clear();
            }
            let starts: Vec<Node> =
                inside.rows[node as usize].iter().copied().filter(|t| *t != left_out).collect();
            let expected = inside.distances(&starts, None)[node as usize];
            prop_assert_eq!(cycle.len(), expected.map_or(0, |distance| distance + 1));
            if let Some(&last) = cycle.last() {
                prop_assert_eq!(cycle[0], node);
                prop_assert!(!cycle.contains(&left_out));
                prop_assert!(cycle.windows(2).all(|s| case.rows[s[0] as usize].contains(&s[1])));
                prop_assert!(case.rows[last as usize].contains(&node));
            }
        }
    }

    #[test]
    fn addresses_are_numbered_in_order(
        granules in prop::collection::vec(
            prop_oneof![0..600_usize, 4090..4100_usize, 0..1_usize << 40, Just((1 << 44) - 1)],
            0..400,
        )
    ) {
        let mut index = AddressIndex::default();
        let mut expected = BTreeSet::new();
        for granule in granules {
            prop_assert_eq!(index.contains(granule * 8), expected.contains(&(granule * 8)));
            prop_assert_eq!(index.mark(granule * 8).unwrap(), expected.insert(granule * 8));
        }
        // Numbered a chunk at a time: each has one, and no two have the same.
        let mut unsorted = AddressIndex::default();
        for &address in expected.iter().rev() {
            unsorted.mark(address).unwrap();
        }
        while !unsorted.number_more(1) {}
        let numbers: BTreeSet<_> = expected.iter().map(|&each| unsorted.number(each)).collect();
        prop_assert!(numbers.into_iter().eq((0..expected.len()).map(|each| Some(each as Node))));
        index.seal().unwrap();
        prop_assert_eq!(index.len(), expected.len());
        prop_assert!(index.addresses().eq(expected.iter().copied()));
        for (node, &address) in expected.iter().enumerate() {
            prop_assert_eq!(index.number(address), Some(node as Node));
            prop_assert_eq!(index.address(node as Node), Some(address));
            prop_assert_eq!(index.number(address + 4), None);
            if !expected.contains(&(address + 8)) {
                prop_assert_eq!(index.number(address + 8), None);
            }
        }
        prop_assert_eq!(index.address(index.len() as Node), None);
    }
}

/// Node `i` refers to `i + 1` and, with `back`, the last to the first.
fn chain(length: usize, back: bool) -> Graph {
    let mut builder = Builder::new(length, length).unwrap();
    for node in 0..length {
        if node + 1 < length {
            builder.reference(node as Node + 1).unwrap();
        } else if back {
            builder.reference(0).unwrap();
        }
        builder.node(0, 1).unwrap();
    }
    let mut graph = builder.finish();
    graph.set_roots(vec![0]);
    graph
}

#[test]
fn depth_does_not_matter() {
    const LENGTH: usize = 1_000_000;
    let graph = chain(LENGTH, true);
    let tree = Dominators::of(&graph).unwrap();
    let retained = tree.retained(&graph).unwrap();
    assert_eq!(retained[1], LENGTH as u64);
    assert_eq!(retained[LENGTH], 1);
    assert_eq!(
        tree.retained_by_kind(&graph, &retained, 1).unwrap(),
        [LENGTH as u64]
    );
    let paths = Paths::from(&graph, &[&[0]], None).unwrap();
    assert_eq!(paths.lengths().unwrap()[LENGTH - 1] as usize, LENGTH);
    let mut sizes = Vec::new();
    components(
        &graph,
        |_| true,
        |members| {
            sizes.push(members.len());
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(sizes, [LENGTH]);
    assert_eq!(shortest_cycle(&graph, 5, |_| true).unwrap().len(), LENGTH);
}

/// Every node of a chain refers to the last one and to the first one: the
/// worst case for an algorithm that climbs the tree for each reference.
#[test]
fn a_node_shared_by_a_deep_chain_costs_no_more() {
    const LENGTH: u32 = 300_000;
    let mut builder = Builder::new(LENGTH as usize, 3 * LENGTH as usize).unwrap();
    for node in 0..LENGTH {
        builder.reference(LENGTH - 1).unwrap();
        builder.reference(0).unwrap();
        builder.reference((node + 1).min(LENGTH - 1)).unwrap();
        builder.node(0, 1).unwrap();
    }
    let mut graph = builder.finish();
    graph.set_roots(vec![0]);
    let tree = Dominators::of(&graph).unwrap();
    let places = tree.places().unwrap();
    assert_eq!(
        tree.node(tree.dominator(places[LENGTH as usize - 1] as usize)),
        0
    );
}

#[test]
fn more_than_memory_can_hold_is_refused() {
    assert!(Builder::new(usize::MAX / 2, 0).is_err());
    assert!(Builder::new(10, usize::MAX / 2).is_err());
    assert!(Builder::new(u32::MAX as usize, 0).is_err());
}

#[test]
fn an_empty_heap_has_answers_too() {
    let graph = Builder::new(0, 0).unwrap().finish();
    let tree = Dominators::of(&graph).unwrap();
    assert_eq!((tree.len(), tree.first_unreached()), (1, 1));
    assert_eq!(tree.retained(&graph).unwrap(), [0]);
    assert!(AddressIndex::default().address(0).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn what_is_left_out_changes_no_answer(
        case in prop_oneof![cases(40, 2), cases(14, 3), mostly_trees()],
        left_out in 0..24_u32,
    ) {
        let graph = case.graph();
        let tree = Dominators::of(&graph).unwrap();
        let retained = tree.retained(&graph).unwrap();
        let places = tree.places().unwrap();
        let mut survey = Survey::of(&graph, &case.roots, |node| node != left_out).unwrap();
        let mut on_cycles = BTreeSet::new();
        components(&graph, |node| node != left_out, |members| {
            on_cycles.extend(members.iter().copied());
            Ok(())
        })
        .unwrap();
        for node in graph.nodes() {
            let place = places[node as usize] as usize;
            prop_assert_eq!(survey.is_reached(node), place < tree.first_unreached());
            prop_assert!(survey.is_wild(node) || !on_cycles.contains(&node));
        }
        let small = Contraction::of(&graph, &case.roots, &mut survey).unwrap();
        let small_tree = Dominators::of(small.graph()).unwrap();
        let small_retained = small_tree.retained(small.graph()).unwrap();
        let small_places = small_tree.places().unwrap();
        for node in graph.nodes() {
            let bytes = retained[places[node as usize] as usize];
            match small.find(node) {
                Some(found) => {
                    prop_assert_eq!(small.node(found), node);
                    let place = small_places[found as usize] as usize;
                    prop_assert_eq!(small_retained[place], bytes);
                    let above = tree.dominator(places[node as usize] as usize);
                    let small_above = small_tree.dominator(place);
                    let above = (above != 0).then(|| tree.node(above));
                    let small_above =
                        (small_above != 0).then(|| small.node(small_tree.node(small_above)));
                    prop_assert_eq!(small_above, above);
                }
                None => prop_assert!(small.is_part(node)),
            }
        }
        let found =
            Retained::of(&graph, &small, &small_tree, &small_retained, 3, graph.len()).unwrap();
        prop_assert_eq!(found.by_kind, tree.retained_by_kind(&graph, &retained, 3).unwrap());
        let mut expected: Vec<(u64, Node)> =
            graph.nodes().map(|node| (retained[places[node as usize] as usize], node)).collect();
        expected.sort_by_key(|(bytes, node)| (std::cmp::Reverse(*bytes), *node));
        prop_assert_eq!(found.largest, expected);
        let unreachable: Vec<Node> =
            graph.nodes().filter(|node| !survey.is_reached(*node)).collect();
        let bytes: u64 = unreachable.iter().map(|node| size(*node)).sum();
        prop_assert_eq!(found.unreachable, (unreachable.len() as u64, bytes));
    }
}

/// A tree with references back to its nodes' parents and few others.
fn mostly_trees() -> impl Strategy<Value = Case> {
    let node = (any::<prop::sample::Index>(), 0..4_u32);
    let other = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (
        prop::collection::vec(node, 1..60),
        prop::collection::vec(other, 0..5),
        0..3_usize,
    )
        .prop_map(|(nodes, others, roots)| {
            let mut rows: Vec<Vec<Node>> = vec![Vec::new()];
            for (parent, back) in nodes {
                let parent = parent.index(rows.len()) as Node;
                let node = rows.len() as Node;
                rows[parent as usize].push(node);
                rows.push(if back == 0 { vec![parent] } else { Vec::new() });
            }
            for (from, to) in others {
                let (from, to) = (from.index(rows.len()), to.index(rows.len()));
                rows[from].push(to as Node);
            }
            Case {
                rows,
                roots: (0..roots as Node).collect(),
            }
        })
}

#[test]
fn a_deep_heap_is_one_node_with_parts() {
    const LENGTH: usize = 1_000_000;
    let graph = chain(LENGTH, true);
    let mut survey = Survey::of(&graph, &[0], |_| true).unwrap();
    assert!((0..LENGTH as Node).all(|node| survey.is_wild(node)));
    let small = Contraction::of(&graph, &[0], &mut survey).unwrap();
    assert!(small.graph().len() < LENGTH / 32);
    let tree = Dominators::of(small.graph()).unwrap();
    let retained = tree.retained(small.graph()).unwrap();
    let found = Retained::of(&graph, &small, &tree, &retained, 1, 2).unwrap();
    assert_eq!(found.largest, [(LENGTH as u64, 0), (LENGTH as u64 - 1, 1)]);
    assert_eq!(found.by_kind, [LENGTH as u64]);
}

/// A wide heap, whose levels are kept as bits: node 0 refers to all, each of them to
/// one of few, these to the last.
#[test]
fn a_wide_search_finds_shortest_paths_and_stops() {
    const WIDTH: u32 = 50_000;
    let count = WIDTH as usize + 12;
    let mut builder = Builder::new(count, 0).unwrap();
    (1..=WIDTH).for_each(|node| builder.reference(node).unwrap());
    builder.node(0, 1).unwrap();
    for node in 1..=WIDTH {
        builder.reference(WIDTH + 1 + node % 10).unwrap();
        builder.node(0, 1).unwrap();
    }
    for _ in 0..10 {
        builder.reference(WIDTH + 11).unwrap();
        builder.node(0, 1).unwrap();
    }
    builder.node(0, 1).unwrap();
    let graph = builder.finish();
    let full = Paths::from(&graph, &[&[0]], None).unwrap();
    let mut seen = 0;
    let all = Paths::until(&graph, &[&[0]], None, |_, _| {
        seen += 1;
        false
    })
    .unwrap();
    assert_eq!(seen, graph.references());
    for node in graph.nodes() {
        let (one, other) = (full.to(node).unwrap(), all.to(node).unwrap());
        assert_eq!(one.len(), other.len());
        assert!(
            other
                .windows(2)
                .all(|step| graph.targets(step[0]).contains(&step[1]))
        );
    }
    let some = Paths::until(&graph, &[&[0]], None, |_, target| target > WIDTH).unwrap();
    assert!(some.reaches(WIDTH + 2) && !some.reaches(WIDTH + 11));
}
