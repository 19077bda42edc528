//! The graph as text, Mermaid or DOT.

use std::fmt::Write;

use crate::graph::{Kind, Topology};

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// For a terminal.
    Text,
    /// <https://mermaid.js.org>, which GitHub renders.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Draws the graph.
#[must_use]
pub fn draw(topology: &Topology, drawing: Drawing) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match drawing {
        Drawing::Text => text(topology, &mut out),
        Drawing::Mermaid => mermaid(topology, &mut out),
        Drawing::Dot => dot(topology, &mut out),
    };
    out
}

fn text(topology: &Topology, out: &mut String) -> std::fmt::Result {
    writeln!(out, "{:<20} {:<7} {:<16} {:<16} partitions", "stream", "kind", "key", "record")?;
    for s in &topology.streams {
        let kind = match s.kind {
            Kind::Stream => "stream",
            Kind::Table => "table",
        };
        writeln!(out, "{:<20} {kind:<7} {:<16} {:<16} {}", s.name, s.key, s.record, s.partitions)?;
    }
    writeln!(out)?;
    for p in &topology.processors {
        let writes: Vec<_> = p.writes.iter().map(|s| s.name).collect();
        let state = p.state.map_or(String::new(), |s| format!("  [{}]", s.name));
        writeln!(out, "{} ─► {} ─► {}{state}", p.reads.name, p.name, writes.join(", "))?;
    }
    Ok(())
}

/// Streams that every processor writes would hide the graph behind their edges.
fn drawn(name: &str) -> bool {
    !matches!(name, "executions" | "progress" | "logs" | "dead-letters")
}

fn mermaid(topology: &Topology, out: &mut String) -> std::fmt::Result {
    writeln!(out, "flowchart LR")?;
    for s in topology.streams.iter().filter(|s| drawn(s.name)) {
        match s.kind {
            Kind::Stream => writeln!(out, "    {}([{}])", s.name, s.name)?,
            Kind::Table => writeln!(out, "    {}[({})]", s.name, s.name)?,
        }
    }
    for p in &topology.processors {
        writeln!(out, "    {}[\"<b>{}</b><br/>{}\"]", p.name, p.name, p.does)?;
        writeln!(out, "    {} --> {}", p.reads.name, p.name)?;
        for s in p.writes.iter().filter(|s| drawn(s.name)) {
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
