//! gc-arena, an incremental mark and sweep collector. Its pointers are copied
//! for nothing and exist only inside its arena, so each benchmark is written
//! anew; the collection is part of what is measured.

use std::hint::black_box;

use gc_arena::lock::Lock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable};

use crate::graph::Random;
use crate::memory;
use crate::peer::{List, Peer, now};

pub struct GcArena;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    value: u64,
    edges: Lock<[Option<Gc<'gc, Node<'gc>>>; 3]>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    nodes: Vec<Gc<'gc, Node<'gc>>>,
}

type Heap = Arena<Rootable![Root<'_>]>;

fn node<'gc>(mc: &Mutation<'gc>, value: u64) -> Gc<'gc, Node<'gc>> {
    Gc::new(
        mc,
        Node {
            value,
            edges: Lock::new([None; 3]),
        },
    )
}

fn link<'gc>(mc: &Mutation<'gc>, from: Gc<'gc, Node<'gc>>, edge: usize, to: Gc<'gc, Node<'gc>>) {
    debug_assert!(from.value < u64::MAX);
    let mut edges = from.edges.get();
    edges[edge] = Some(to);
    gc_arena::barrier::field!(Gc::write(mc, from), Node, edges)
        .unlock()
        .set(edges);
}

fn heap() -> Heap {
    Arena::new(|_| Root { nodes: Vec::new() })
}

/// The graph of [`Peer::graph`].
fn graph(heap: &mut Heap, count: u64) {
    heap.mutate_root(|mc, root| {
        let nodes: Vec<_> = (0..count).map(|value| node(mc, value)).collect();
        let mut random = Random::new();
        for (index, &node) in nodes.iter().enumerate() {
            if index > 0 {
                link(mc, nodes[(index - 1) / 2], (index - 1) % 2, node);
            }
            link(mc, node, 2, nodes[random.below(count) as usize]);
        }
        root.nodes.push(nodes[0]);
    });
}

impl Peer for GcArena {
    type Node = ();

    fn node(_: u64) {}
    fn link((): &(), _: usize, (): &()) {}
    fn collect() -> bool {
        true
    }
    fn set_automatic(_: bool) -> bool {
        true
    }

    fn at_once(count: u64) -> Option<f64> {
        let mut heap = heap();
        let begin = now();
        for part in 0..count / 10_000 {
            heap.mutate(|mc, _| {
                for value in 0..10_000 {
                    black_box(node(mc, part + value));
                }
            });
            heap.collect_debt();
        }
        heap.finish_cycle();
        Some((now() - begin) / count as f64)
    }

    fn batch(count: u64) -> Option<f64> {
        let mut heap = heap();
        let mut time = 0.0;
        for _ in 0..2 {
            let begin = now();
            heap.mutate_root(|mc, root| root.nodes.extend((0..count).map(|value| node(mc, value))));
            heap.mutate_root(|_, root| root.nodes.clear());
            heap.finish_cycle();
            heap.finish_cycle();
            time = now() - begin;
        }
        Some(time / count as f64)
    }

    fn clone_one(_: u64) -> Option<f64> {
        None
    }

    fn cycles(count: u64) -> Option<f64> {
        let mut heap = heap();
        let begin = now();
        for value in 0..count / 2000 {
            heap.mutate(|mc, _| {
                for _ in 0..1000 {
                    let (a, b) = (node(mc, value), node(mc, value));
                    link(mc, a, 0, b);
                    link(mc, b, 0, a);
                }
            });
            heap.collect_debt();
        }
        heap.finish_cycle();
        heap.finish_cycle();
        Some((now() - begin) / count as f64)
    }

    fn live(count: u64, again: bool) -> Option<f64> {
        let mut heap = heap();
        graph(&mut heap, count);
        if again {
            heap.finish_cycle();
        }
        let begin = now();
        heap.finish_cycle();
        Some((now() - begin) / count as f64)
    }

    fn bytes(count: u64) -> Option<f64> {
        let before = memory::resident()?;
        let mut heap = heap();
        graph(&mut heap, count);
        Some((memory::resident()? - before) / count as f64)
    }

    fn extra_bytes(count: u64) -> Option<f64> {
        let mut heap = heap();
        graph(&mut heap, count);
        let before = memory::begin_peak()?;
        heap.finish_cycle();
        Some((memory::peak()? - before) / count as f64)
    }

    fn trees() -> Option<f64> {
        fn tree<'gc>(mc: &Mutation<'gc>, depth: u32, made: &mut u64) -> Gc<'gc, Node<'gc>> {
            let top = node(mc, u64::from(depth));
            *made += 1;
            if depth > 0 {
                for edge in 0..2 {
                    let child = tree(mc, depth - 1, made);
                    link(mc, top, edge, child);
                    link(mc, child, 2, top);
                }
            }
            top
        }
        let mut heap = heap();
        let mut made = 0;
        let begin = now();
        heap.mutate_root(|mc, root| root.nodes.push(tree(mc, 15, &mut made)));
        for depth in (4..=14).step_by(2) {
            for _ in 0..1 << (16 - depth) {
                heap.mutate(|mc, _| {
                    black_box(tree(mc, depth, &mut made));
                });
                heap.collect_debt();
            }
        }
        heap.finish_cycle();
        Some((now() - begin) / made as f64)
    }

    fn list(count: u64, what: List) -> Option<f64> {
        let mut heap = heap();
        heap.mutate_root(|mc, root| {
            let mut first = node(mc, 0);
            for value in 1..count {
                let next = node(mc, value);
                link(mc, next, 0, first);
                first = next;
            }
            root.nodes.push(first);
        });
        if what != List::Live {
            heap.mutate_root(|_, root| root.nodes.clear());
        }
        let begin = now();
        heap.finish_cycle();
        Some((now() - begin) / count as f64)
    }
}
