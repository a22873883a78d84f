//! `--watch`: asks again and again, and prints what has changed, until somebody interrupts it.

use std::{io::ErrorKind, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    causes, complain,
    output::{self, Format},
};

/// How often is asked.
const PERIOD: Duration = Duration::from_secs(2);

/// Prints what `ask` gives, and again whenever it gives something else. An error at first ends it; later ones are said, once
/// for as long as they last, since control planes come and go. Ends when nobody reads it any more.
pub(crate) async fn watch(
    format: Format,
    ask: impl AsyncFn() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown: Option<String> = None;
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        let text = match ask().await {
            Ok(text) => text,
            Err(error) if shown.is_none() => return Err(error),
            Err(error) => {
                if !is_failing {
                    complain(&format!("{}; asking again", causes(&error)));
                }
                is_failing = true;
                continue;
            }
        };
        if is_failing || shown.as_ref() != Some(&text) {
            match output::again(format, &text, shown.is_none()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                printed => printed?,
            }
        }
        shown = Some(text);
        is_failing = false;
    }
}
