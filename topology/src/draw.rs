//! Draws the topology as text, Mermaid or DOT.

use std::{collections::HashMap, fmt::Write};

use crate::graph::{Kind, Topology};

/// The format of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Text for a terminal.
    Text,
    /// Mermaid (<https://mermaid.js.org>), which GitHub renders.
    Mermaid,
    /// DOT, for Graphviz.
    Dot,
}

/// Numbers of records on a log, for a drawing.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts {
    /// The number of records in each stream, by the stream's name.
    pub depth: HashMap<&'static str, u64>,
    /// The number of records that each processor has not consumed yet, by the processor's name.
    pub lag: HashMap<&'static str, u64>,
}

/// Draws the topology. A drawing as text includes the counts, if there are any; a drawing in Mermaid leaves
/// out streams that are reports.
#[must_use]
pub fn draw(topology: &Topology, drawing: Drawing, counts: Option<&RecordCounts>) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match drawing {
        Drawing::Text => text(topology, counts, &mut out),
        Drawing::Mermaid => mermaid(topology, &mut out),
        Drawing::Dot => dot(topology, &mut out),
    };
    out
}

fn text(topology: &Topology, counts: Option<&RecordCounts>, out: &mut String) -> std::fmt::Result {
    let depth = |name: &str| {
        counts.and_then(|n| n.depth.get(name)).map_or(String::new(), |depth| format!("{depth:>8}"))
    };
    let title = if counts.is_some() { "   depth" } else { "" };
    writeln!(out, "{:<20} {:<7} {:<16} {:<16} partitions{title}", "stream", "kind", "key", "record")?;
    for s in &topology.streams {
        let kind = match s.kind {
            Kind::Stream => "stream",
            Kind::Table => "table",
        };
        let (name, depth) = (s.name, depth(s.name));
        let line = format!("{name:<20} {kind:<7} {:<16} {:<16} {:>10}{depth}", s.key, s.record, s.partitions);
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    for p in &topology.processors {
        let writes: Vec<_> = p.writes.iter().map(|s| s.name).collect();
        let state = p.state.map_or(String::new(), |s| format!("  [{}]", s.name));
        let lag = counts.and_then(|n| n.lag.get(p.name)).map_or(String::new(), |lag| format!("  lag {lag}"));
        writeln!(out, "{} ─► {} ─► {}{state}{lag}", p.reads.name, p.name, writes.join(", "))?;
    }
    Ok(())
}

fn mermaid(topology: &Topology, out: &mut String) -> std::fmt::Result {
    writeln!(out, "flowchart LR")?;
    for s in topology.streams.iter().filter(|s| !s.is_report) {
        match s.kind {
            Kind::Stream => writeln!(out, "    {}([{}])", s.name, s.name)?,
            Kind::Table => writeln!(out, "    {}[({})]", s.name, s.name)?,
        }
    }
    for p in &topology.processors {
        writeln!(out, "    {}[\"<b>{}</b><br/>{}\"]", p.name, p.name, p.does)?;
        writeln!(out, "    {} --> {}", p.reads.name, p.name)?;
        for s in p.writes.iter().filter(|s| !s.is_report) {
            writeln!(out, "    {} --> {}", p.name, s.name)?;
        }
        if let Some(s) = p.state {
            writeln!(out, "    {} <-.-> {}", p.name, s.name)?;
        }
    }
    Ok(())
}

fn dot(topology: &Topology, out: &mut String) -> std::fmt::Result {
    writeln!(out, "digraph millrace {{\n    rankdir=LR;")?;
    for s in &topology.streams {
        let shape = match s.kind {
            Kind::Stream => "oval",
            Kind::Table => "cylinder",
        };
        writeln!(out, "    \"{}\" [shape={shape}];", s.name)?;
    }
    for p in &topology.processors {
        writeln!(out, "    \"{}\" [shape=box, label=\"{}\\n{}\"];", p.name, p.name, p.does)?;
        writeln!(out, "    \"{}\" -> \"{}\";", p.reads.name, p.name)?;
        for s in &p.writes {
            writeln!(out, "    \"{}\" -> \"{}\";", p.name, s.name)?;
        }
        if let Some(s) = p.state {
            writeln!(out, "    \"{}\" -> \"{}\" [dir=both, style=dashed];", p.name, s.name)?;
        }
    }
    writeln!(out, "}}")
}
