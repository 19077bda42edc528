//! The graph as text, Mermaid or DOT.

use std::{collections::HashMap, fmt::Write};

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

/// What a log holds, in records.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// Of each stream, all that it holds.
    pub depth: HashMap<&'static str, u64>,
    /// Of each processor, what it has yet to consume.
    pub lag: HashMap<&'static str, u64>,
}

/// Draws the graph; as text with the numbers of a log, where there is one.
#[must_use]
pub fn draw(topology: &Topology, drawing: Drawing, numbers: Option<&Numbers>) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match drawing {
        Drawing::Text => text(topology, numbers, &mut out),
        Drawing::Mermaid => mermaid(topology, &mut out),
        Drawing::Dot => dot(topology, &mut out),
    };
    out
}

fn text(topology: &Topology, numbers: Option<&Numbers>, out: &mut String) -> std::fmt::Result {
    let depth = |name: &str| {
        numbers.and_then(|n| n.depth.get(name)).map_or(String::new(), |depth| format!("{depth:>8}"))
    };
    let title = if numbers.is_some() { "   depth" } else { "" };
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
        let lag = numbers.and_then(|n| n.lag.get(p.name)).map_or(String::new(), |lag| format!("  lag {lag}"));
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
