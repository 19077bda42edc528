//! The number of table entries that a file may claim.

/// The number of entries that a file of any size may claim. They take a few megabytes of memory.
const ANY_FILE: u64 = 100_000;

/// Returns the largest number of samples that the tables of a file of `size` bytes may claim: one for each byte, and
/// [`ANY_FILE`].
pub(super) fn most_entries(size: u64) -> u64 {
    size.saturating_add(ANY_FILE)
}

/// The message for a file of `size` bytes whose tables claim `claimed` of `what`, e.g. `samples`.
pub(super) fn refusal(what: &str, claimed: u64, size: u64) -> String {
    format!(
        "its tables are wrong: they claim {claimed} {what}, more than its {size} bytes can hold; export it again, or repair it"
    )
}
