//! Peers that count references and have nothing special about them.

#![allow(non_local_definitions, reason = "the derive macros of gc make them")]

use std::cell::{Cell, RefCell};

use crate::peer::{Peer, nodes_with_borrows, nodes_with_cells};

/// dumpster, which finds cycles from references that were dropped.
pub struct Dumpster;

#[derive(dumpster::Trace)]
pub struct DumpsterNode {
    value: u64,
    edges: RefCell<[Option<dumpster::unsync::Gc<DumpsterNode>>; 3]>,
}

impl Peer for Dumpster {
    nodes_with_borrows!(dumpster::unsync::Gc, DumpsterNode, RefCell);

    fn collect() -> bool {
        dumpster::unsync::collect();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        if automatic {
            dumpster::unsync::set_collect_condition(dumpster::unsync::default_collect_condition);
        } else {
            dumpster::unsync::set_collect_condition(|_| false);
        }
        true
    }
}

/// bacon_rajan_cc, which collects only when asked.
pub struct Bacon;

pub struct BaconNode {
    value: u64,
    edges: [Cell<Option<bacon_rajan_cc::Cc<BaconNode>>>; 3],
}

impl bacon_rajan_cc::Trace for BaconNode {
    fn trace(&self, tracer: &mut bacon_rajan_cc::Tracer) {
        for edge in &self.edges {
            // SAFETY: only looked at, nobody changes it meanwhile.
            if let Some(edge) = unsafe { &*edge.as_ptr() } {
                edge.trace(tracer);
            }
        }
    }
}

impl Peer for Bacon {
    nodes_with_cells!(bacon_rajan_cc::Cc, BaconNode);

    fn collect() -> bool {
        bacon_rajan_cc::collect_cycles();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        !automatic
    }
}

/// jrsonnet-gcmodule, which collects only when asked.
pub struct GcModule;

pub struct GcModuleNode {
    value: u64,
    edges: [Cell<Option<jrsonnet_gcmodule::Cc<GcModuleNode>>>; 3],
}

impl jrsonnet_gcmodule::Trace for GcModuleNode {
    fn trace(&self, tracer: &mut jrsonnet_gcmodule::Tracer<'_>) {
        for edge in &self.edges {
            // SAFETY: only looked at, nobody changes it meanwhile.
            unsafe { &*edge.as_ptr() }.trace(tracer);
        }
    }

    fn is_type_tracked() -> bool {
        true
    }
}

impl Peer for GcModule {
    nodes_with_cells!(jrsonnet_gcmodule::Cc, GcModuleNode);

    fn collect() -> bool {
        let _freed = jrsonnet_gcmodule::collect_thread_cycles();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        !automatic
    }
}

/// gc, a mark and sweep collector with counted roots; it cannot be switched off.
pub struct Manishearth;

#[derive(gc::Trace, gc::Finalize)]
pub struct ManishearthNode {
    value: u64,
    edges: gc::GcCell<[Option<gc::Gc<ManishearthNode>>; 3]>,
}

impl Peer for Manishearth {
    nodes_with_borrows!(gc::Gc, ManishearthNode, gc::GcCell);
    const COUNTS: bool = false;

    fn collect() -> bool {
        gc::force_collect();
        true
    }

    fn set_automatic(_: bool) -> bool {
        true
    }
}
