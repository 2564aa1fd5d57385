//! Tests of `Gc<T>`.

mod basics;
mod cycles;
mod deep;
mod derive;
mod exclusive;
mod features;
mod leaks;
mod panics;
mod random;
mod soundness;
mod supply;
mod threads;
mod weak_maps;
mod world;
