//! Tests of the collector on a mock heap, against a naive search.

mod detection;
mod generations;
mod graphs;
mod mock;
mod pieces;
mod policy;
mod properties;
mod protocol;
mod random;
