//! Tests of `Gc<T>`.
//!
//! # What brought other crates down, and the tests that it does not happen here
//! `every_class_has_its_tests` looks whether the tests of this table exist; names
//! that begin with `ui` are programs in `tests/ui` that must not compile.
//!
//! | class | tests |
//! |---|---|
//! | 1. a destructor sees dropped neighbours | `soundness::a_finalizer_reads_its_neighbours`, `soundness::a_destructor_finds_no_way_to_its_neighbours`, `ui::fail_drop` |
//! | 2. a dead pointer escapes | `soundness::a_finalizer_saves_its_neighbour`, `soundness::a_destructor_that_owns_a_reference_keeps_its_object` |
//! | 3. resurrection | `soundness::resurrected_objects_are_collected_later_without_finalizer`, `cycles::a_finalizer_may_resurrect` |
//! | 4. storms of finalizers | `soundness::finalizers_that_make_garbage_with_finalizers_come_to_an_end` |
//! | 5. weak references at the end | `soundness::weak_references_that_finalizers_make_are_cleared`, `soundness::callbacks_cannot_bring_their_object_back`, `soundness::a_weak_reference_is_dropped_by_its_own_callback`, `probes::callbacks_that_collect_and_let_others_go` |
//! | 6. references reported twice | `ui::fail_rc`, `ui::fail_safe_impl`, `derive::containers_report_each_element` |
//! | 7. cells that are borrowed | `soundness::borrowed_cells_keep_what_is_in_them` |
//! | 8. the graph changes between phases | `soundness::a_finalizer_rewires_everything`, `random::any_operations` |
//! | 9. panics | `panics::in_a_destructor_during_a_collection`, `panics::in_a_finalizer`, `panics::in_a_callback`, `panics::in_trace`, `panics::in_several_destructors`, `probes::a_panic_that_panics_when_it_is_dropped` |
//! | 10. re-entrancy | `soundness::collect_and_allocate_in_destructors_and_finalizers`, `soundness::collections_that_come_by_themselves_in_all_places`, `panics::allocating_in_trace_is_refused`, `exclusive::a_callback_that_make_mut_drops_takes_a_reference`, `probes::looking_at_everything_while_it_goes` |
//! | 11. objects made in destructors | `soundness::collect_and_allocate_in_destructors_and_finalizers` |
//! | 12. the end of a thread | `threads::a_thread_ends`, `threads::a_panic_in_a_finalizer_at_the_end_of_a_thread`, `probes::references_across_everything_at_the_end_of_a_thread` |
//! | 13. counters | `soundness::forgotten_references_never_free_an_object`, `soundness::a_count_that_overflows_keeps_its_object`, `probes::what_is_leaked_stays` |
//! | 14. values not there yet | `soundness::new_cyclic_under_collection`, `panics::while_a_value_is_made`, `probes::a_value_that_never_came_to_be` |
//! | 15. slices, trait objects, alignment | `soundness::cycles_through_slices_and_trait_objects`, `basics::every_size_and_alignment`, `probes::sizes_from_nothing_to_a_megabyte_in_one_cycle`, `probes::slices_of_nothing`, `ui::fail_coerce`, `ui::fail_packed`, `ui::fail_union` |
//! | 16. aliasing | `soundness::exclusive_access_under_collection`, `exclusive::a_value_that_make_mut_drops_takes_a_reference`, `exclusive::a_value_attached_to_a_key_takes_a_reference`, `ui::fail_exclusive`, `ui::fail_variance`, `ui::fail_variance_weak` |
//! | 17. the stack | `deep::drop_a_list`, `deep::collect_a_living_list`, `deep::collect_a_dead_list`, `deep::a_chain_of_callbacks`, `deep::a_chain_of_finalizers`, `deep::a_chain_of_weak_map_entries` |
//! | 18. containers | `soundness::maps_hold_cycles`, `derive::containers_report_each_element`, `probes::a_map_is_gone_through_while_its_keys_go` |
//! | 19. several threads | `threads::heaps_are_separate`, `ui::fail_send`, `ui::fail_static` |
//! | 20. effort | `soundness::collections_are_linear` |

mod at_drop;
mod basics;
mod cycles;
mod deep;
mod derive;
mod exclusive;
mod features;
mod leaks;
mod panics;
mod probes;
mod random;
mod soundness;
mod supply;
mod threads;
mod weak_maps;
mod world;

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_class_has_its_tests() {
    let rows = include_str!("main.rs")
        .lines()
        .filter(|line| line.starts_with("//! | ") && !line.contains("| class |"));
    let mut classes = 0;
    for row in rows {
        classes += 1;
        let (class, tests) = row["//! | ".len()..].split_once(" | ").unwrap();
        assert!(class.starts_with(&format!("{classes}. ")), "{class}");
        let mut names = 0;
        for name in tests.split('`').skip(1).step_by(2) {
            let (module, test) = name.split_once("::").unwrap();
            let (file, wanted) = match module {
                "ui" => (format!("tests/ui/{test}.rs"), "fn main()".to_string()),
                _ => (format!("tests/all/{module}.rs"), format!("fn {test}(")),
            };
            let source = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(source.contains(&wanted), "{class}: there is no {name}");
            names += 1;
        }
        assert!(names > 0, "{class} has no test");
    }
    assert_eq!(classes, 20);
}
