//! What a command line chooses of a suite, and what to say of a choice that the suite does not have.
//!
//! A value may be known and yet mean nothing to a suite: `cpu --only chan1`. To leave it out in silence would look
//! as if it had been measured.

/// An option with which a command line chooses.
#[derive(Debug)]
pub(crate) struct Choice {
    option: &'static str,
    /// What is chosen; nothing means all.
    chosen: Vec<String>,
    /// What the suite has.
    there: Vec<String>,
}

impl Choice {
    /// Of names, some of them perhaps several times in `there`.
    pub(crate) fn new(
        option: &'static str,
        chosen: impl IntoIterator<Item = String>,
        there: impl IntoIterator<Item = String>,
    ) -> Choice {
        let mut choice = Choice {
            option,
            chosen: chosen.into_iter().collect(),
            there: Vec::new(),
        };
        for name in there {
            if !choice.there.contains(&name) {
                choice.there.push(name);
            }
        }
        choice
    }
}

/// Whether the suite has all that is chosen of it.
///
/// # Errors
///
/// The first value that it does not have, and what it has.
pub(crate) fn check(suite: &str, choices: &[Choice]) -> Result<(), String> {
    for choice in choices {
        let (option, there) = (choice.option, &choice.there);
        if let Some(name) = choice.chosen.iter().find(|name| !there.contains(name)) {
            let there = there.join(", ");
            return Err(format!(
                "{option} {name}: {suite} has no such; it has {there}"
            ));
        }
    }
    Ok(())
}

/// What to say where nothing is left: each value is known, but nothing has all of them, or this machine can do none.
pub(crate) fn nothing(suite: &str, choices: &[Choice]) -> String {
    let given = choices.iter().filter(|choice| !choice.chosen.is_empty());
    let given = given.map(|choice| format!("{} {}", choice.option, choice.chosen.join(",")));
    let given = given.collect::<Vec<_>>().join(" ");
    if given.is_empty() {
        return format!("nothing of {suite} can be measured on this machine");
    }
    format!("nothing of {suite} is left to measure with {given}: choose less narrowly")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn what_a_suite_does_not_have_is_refused_with_what_it_has() {
        let there = names(&["fib", "fib", "skynet"]);
        let check = |chosen: &[&str]| {
            let choice = Choice::new("--only", names(chosen), there.clone());
            check("cpu", &[choice])
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["skynet", "fib"]), Ok(()));
        let error = "--only chan1: cpu has no such; it has fib, skynet".to_string();
        assert_eq!(check(&["fib", "chan1"]), Err(error));
    }

    #[test]
    fn a_choice_that_leaves_nothing_is_repeated() {
        let choice = |option, chosen: &[&str]| Choice::new(option, names(chosen), names(&["x"]));
        let choices = [
            choice("--only", &["fib"]),
            choice("--placements", &[]),
            choice("--peers", &["rayon", "floor"]),
        ];
        let error = nothing("cpu", &choices);
        assert!(
            error.contains("with --only fib --peers rayon,floor:"),
            "{error}"
        );
        assert!(nothing("io", &choices[1..2]).contains("on this machine"));
    }
}
