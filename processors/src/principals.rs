//! Which principal an upload on the log gets.

/// Which principal an upload on the log gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principals {
    /// The principal of all uploads on the log; empty for the default principal.
    pub of_log: String,
    /// Whether the record's header `millrace-principal` overrides it. Only for logs to which only trusted programs produce.
    pub trust_header: bool,
}
