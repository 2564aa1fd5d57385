//! Random heaps: a description that proptest can shrink, and its builder.

use proptest::prelude::*;

use crate::mock::{Action, Heap, Object};

/// One object of a random heap.
#[derive(Clone, Debug)]
pub struct Plan {
    generation: usize,
    external: bool,
    tracked: bool,
    immortal: bool,
    atomic: bool,
    uncollectable: bool,
    finalizer: Option<Vec<Action>>,
    destructor: Vec<Action>,
    weak: Option<(Object, Option<Vec<Action>>)>,
    edges: Vec<Object>,
}

impl Plan {
    /// A plan from the fuzzer's numbers: `below` draws one below its argument.
    #[allow(dead_code, reason = "called by fuzz/")]
    pub fn draw(count: usize, features: Features, below: &mut dyn FnMut(usize) -> usize) -> Self {
        let longest = if features.foreign_code { 4 } else { 1 };
        let with_code = features.foreign_code || features.quiet_code;
        let script = |below: &mut dyn FnMut(usize) -> usize| -> Vec<Action> {
            (0..below(longest))
                .map(|_| draw_action(count, below))
                .collect()
        };
        Self {
            generation: below(if features.surroundings { 3 } else { 1 }),
            external: below(7) == 1,
            tracked: !(features.surroundings && below(10) == 1),
            immortal: features.surroundings && below(10) == 1,
            atomic: features.surroundings && below(10) == 1,
            uncollectable: features.uncollectable && below(10) == 1,
            finalizer: (with_code && below(3) == 1).then(|| script(below)),
            destructor: if below(2) == 1 {
                script(below)
            } else {
                Vec::new()
            },
            weak: (with_code && below(3) == 1).then(|| {
                let target = below(count);
                (target, (below(4) != 0).then(|| script(below)))
            }),
            edges: (0..below(5)).map(|_| below(count)).collect(),
        }
    }
}

fn draw_action(count: usize, below: &mut dyn FnMut(usize) -> usize) -> Action {
    // A few numbers above `count`: objects that foreign code allocates.
    let most = count + 4;
    match below(7) {
        0 => Action::Root(below(most)),
        1 => Action::Unroot(below(most)),
        2 => Action::Link(below(most), below(most)),
        3 => Action::Clear(below(most)),
        4 => Action::AllocateCycle,
        5 => Action::Upgrade(below(most)),
        _ => Action::Collect,
    }
}

/// Which features random heaps have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Objects in all three generations, untracked and immortal ones.
    pub surroundings: bool,
    /// Finalizers, weak references with callbacks, and destructors that do things.
    pub foreign_code: bool,
    /// Finalizers and weak references whose foreign code does nothing.
    pub quiet_code: bool,
    /// Uncollectable objects.
    pub uncollectable: bool,
}

fn action(count: usize) -> impl Strategy<Value = Action> {
    // A few numbers above `count`: objects that foreign code allocates.
    let object = 0..count + 4;
    prop_oneof![
        object.clone().prop_map(Action::Root),
        object.clone().prop_map(Action::Unroot),
        (object.clone(), object.clone()).prop_map(|(from, to)| Action::Link(from, to)),
        object.clone().prop_map(Action::Clear),
        Just(Action::AllocateCycle),
        object.prop_map(Action::Upgrade),
        Just(Action::Collect),
    ]
}

fn plan(count: usize, features: Features) -> impl Strategy<Value = Plan> {
    let longest = if features.foreign_code { 3 } else { 0 };
    let with_code = features.foreign_code || features.quiet_code;
    let rarely = |on: bool| (0..10_u8).prop_map(move |draw| on && draw == 0);
    let sometimes = |on: bool| (0..10_u8).prop_map(move |draw| on && draw < 3);
    let script = move || prop::collection::vec(action(count), 0..=longest);
    let callback = prop::option::weighted(0.7, script());
    (
        (
            0..if features.surroundings { 3 } else { 1_usize },
            prop::bool::weighted(0.15),
            rarely(features.surroundings).prop_map(|not| !not),
            rarely(features.surroundings),
            rarely(features.surroundings),
            rarely(features.uncollectable),
        ),
        (sometimes(with_code), script()).prop_map(|(on, script)| on.then_some(script)),
        prop::collection::vec(action(count), 0..=longest / 2),
        (sometimes(with_code), (0..count, callback)).prop_map(|(on, weak)| on.then_some(weak)),
        prop::collection::vec(0..count, 0..5),
    )
        .prop_map(|(flags, finalizer, destructor, weak, edges)| Plan {
            generation: flags.0,
            external: flags.1,
            tracked: flags.2,
            immortal: flags.3,
            atomic: flags.4,
            uncollectable: flags.5,
            finalizer,
            destructor,
            weak,
            edges,
        })
}

/// Heaps of up to `most` objects, and a limit for the mark stack.
pub fn heaps(most: usize, features: Features) -> impl Strategy<Value = (Vec<Plan>, usize)> {
    (1..=most).prop_flat_map(move |count| {
        let limit = prop_oneof![Just(usize::MAX), 0..=count];
        (prop::collection::vec(plan(count, features), count), limit)
    })
}

/// Builds the heap. Some objects may be freed at once, by their count.
pub fn build(plans: &[Plan], limit: usize) -> Heap {
    let heap = Heap::with_stack_limit(limit);
    for _ in plans {
        heap.allocate();
    }
    for (object, plan) in plans.iter().enumerate() {
        for &target in plan.edges.iter().filter(|_| !plan.atomic) {
            heap.link(object, target);
        }
    }
    for (object, plan) in plans.iter().enumerate() {
        if let Some((target, callback)) = plan.weak.as_ref().filter(|_| !plan.atomic) {
            let weak = heap.weak(*target, callback.clone());
            heap.link(object, weak);
            heap.unroot(weak);
            heap.promote(weak, plan.generation);
        }
        if let Some(script) = &plan.finalizer {
            heap.set_finalizer(object, script.clone());
        }
        if plan.immortal {
            heap.set_immortal(object);
        }
        if plan.atomic {
            heap.set_atomic(object);
        }
        if plan.uncollectable {
            heap.set_uncollectable(object);
            // In a cycle of its own, so that it does not just go with its count.
            heap.ring(&[object]);
        }
        heap.set_destructor(object, plan.destructor.clone());
        heap.promote(object, plan.generation);
    }
    for (object, plan) in plans.iter().enumerate() {
        if !plan.tracked {
            heap.untrack(object);
        }
    }
    for (object, plan) in plans.iter().enumerate() {
        // Immortal objects are held for ever, like CPython's.
        if !plan.external && !plan.immortal && heap.lives(object) && heap.has_external(object) {
            heap.unroot(object);
        }
    }
    heap
}
