//! A page as blocks of code, each with what its fence says.

/// What becomes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Run to its end.
    Run,
    /// Runs until the page ends.
    Background,
    /// Run with stand-ins.
    Elsewhere,
    Output,
    Picture,
    Yaml,
    Json,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Of its first line of text, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The blocks of a page, or what is wrong with a fence.
pub(crate) fn blocks(markdown: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let kind = kind(info.trim()).ok_or_else(|| {
            format!("line {number}: ```{info} says neither how it is run nor what it is")
        })?;
        let mut text = String::new();
        loop {
            let (line, _) = lines
                .next()
                .ok_or_else(|| format!("line {number}: this block has no end"))?;
            if line.trim() == "```" {
                break;
            }
            text.push_str(line.get(indent..).unwrap_or_default());
            text.push('\n');
        }
        blocks.push(Block {
            kind,
            line: number + 1,
            text,
        });
    }
    Ok(blocks)
}

/// The arguments of each `meshlite …` that stands in a sentence, up to what is for a shell; not of `meshlite COMMAND`.
pub(crate) fn mentions(markdown: &str) -> Vec<Vec<String>> {
    let mut is_prose = true;
    let mut prose = String::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_prose = !is_prose;
        } else if is_prose {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let spans = prose.split('`').skip(1).step_by(2);
    let commands = spans.filter_map(|span| span.strip_prefix("meshlite "));
    let commands = commands.filter(|rest| !rest.starts_with("COMMAND"));
    let arguments = commands.map(|rest| {
        let words = rest.split_whitespace();
        let own = words.take_while(|word| !word.starts_with(['|', ';', '>', '&', '…']));
        own.map(str::to_owned).collect()
    });
    arguments.collect()
}

fn kind(info: &str) -> Option<Kind> {
    Some(match info {
        "sh" => Kind::Run,
        "sh background" => Kind::Background,
        "sh cluster" | "sh by-hand" => Kind::Elsewhere,
        "text output" => Kind::Output,
        "text" => Kind::Picture,
        "yaml" => Kind::Yaml,
        "json" => Kind::Json,
        _ => return None,
    })
}
