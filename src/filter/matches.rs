//! Finds all matches of an expression in a text. Each search takes linear time, but it may read to the end of the text
//! every time. So all searches together stop after a second.

use std::time::{Duration, Instant};

use regex::{Captures, Regex};

/// Matches that would be found later are ignored.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(1);
/// The clock is checked once in this many matches.
const CLOCK_EVERY_MATCHES: usize = 16;

/// The matches with their groups.
pub(super) fn all<'t>(regex: &Regex, text: &'t str) -> impl Iterator<Item = Captures<'t>> {
    let start = Instant::now();
    let is_in_time =
        move |number: usize| !number.is_multiple_of(CLOCK_EVERY_MATCHES) || start.elapsed() < SEARCH_TIMEOUT;
    regex.captures_iter(text).enumerate().take_while(move |(number, _)| is_in_time(*number)).map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_looks_to_the_end_each_time_ends() {
        let text = "a".repeat(1_000_000);
        let start = Instant::now();
        assert!(all(&Regex::new("a*b|a").unwrap(), &text).count() > 0);
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(all(&Regex::new("a").unwrap(), "abaca").count(), 3);
    }
}
