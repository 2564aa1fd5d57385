//! The rules, one a file, each with its explanation beside it.

mod cycle;
mod list;
mod w101;
mod w102;
mod w103;
mod w104;
mod w201;
mod w202;
mod w203;
mod w204;
mod w205;
mod w301;
mod w302;
mod w303;
mod w304;
mod w305;
mod w306;
mod w401;
mod w402;
mod w403;
mod w501;
mod w502;
mod w503;
mod w504;
mod w505;
mod w601;
mod w602;
mod w603;

pub use cycle::weakest;

use crate::rule::Rule;

/// All rules, in the order of their codes.
pub const ALL: &[&Rule] = &[
    &w101::RULE,
    &w102::RULE,
    &w103::RULE,
    &w104::RULE,
    &w201::RULE,
    &w202::RULE,
    &w203::RULE,
    &w204::RULE,
    &w205::RULE,
    &w301::RULE,
    &w302::RULE,
    &w303::RULE,
    &w304::RULE,
    &w305::RULE,
    &w306::RULE,
    &w401::RULE,
    &w402::RULE,
    &w403::RULE,
    &w501::RULE,
    &w502::RULE,
    &w503::RULE,
    &w504::RULE,
    &w505::RULE,
    &w601::RULE,
    &w602::RULE,
    &w603::RULE,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn rules_are_in_order_and_explain_themselves() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
        for rule in ALL {
            let head = format!("# {} {}\n", rule.code, rule.name);
            assert!(rule.explanation.starts_with(&head), "{}", rule.code);
            for part in ["\n## Before\n", "\n## After\n"] {
                let (_, example) = rule.explanation.split_once(part).unwrap();
                assert!(
                    example.trim_start().starts_with("```python\n"),
                    "{}",
                    rule.code
                );
            }
            assert!(!rule.summary.contains('\n') && !rule.summary.ends_with('.'));
        }
    }
}
