//! A plot of what a request costs each proxy, as SVG.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::cases::Measured;

const WIDTH: f64 = 720.0;
const BAR: f64 = 16.0;
/// Where bars begin, after their names.
const LEFT: f64 = 240.0;

/// Writes it beside the programs, and says where.
pub(crate) fn write(measured: &Measured) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?;
    let path = folder.parent().unwrap_or(Path::new(".")).join("l7.svg");
    fs::write(&path, svg(measured)?)?;
    Ok(path)
}

fn svg(measured: &Measured) -> Result<String, std::fmt::Error> {
    let mut bars = String::new();
    let mut y = BAR;
    for (case, costs) in measured {
        writeln!(
            bars,
            r#"<text x="4" y="{y}" font-weight="bold">{case}</text>"#
        )?;
        let longest = costs
            .of
            .values()
            .map(|cost| cost.cpu)
            .fold(f64::MIN_POSITIVE, f64::max);
        for (name, cost) in &costs.of {
            y += BAR * 1.25;
            let width = cost.cpu / longest * (WIDTH - LEFT - 80.0);
            let (top, end) = (y - BAR * 0.8, LEFT + width + 6.0);
            writeln!(bars, r#"<text x="20" y="{y}">{name}</text>"#)?;
            writeln!(
                bars,
                r##"<rect x="{LEFT}" y="{top}" width="{width:.0}" height="{BAR}" fill="#4878a8"/>"##
            )?;
            writeln!(
                bars,
                r#"<text x="{end:.0}" y="{y}">{:.1} µs</text>"#,
                cost.cpu
            )?;
        }
        y += BAR * 2.0;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n{bars}</svg>\n"
    ))
}
