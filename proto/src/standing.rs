//! Where a subscription stands and for how long: what data planes answer on `/snapshot` and count.

use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use crate::session::SessionStatus;

/// Observes a subscription. Clones share it.
#[derive(Clone, Debug)]
pub struct Observer {
    status: watch::Receiver<SessionStatus>,
    unconfirmed: watch::Receiver<Option<Instant>>,
}

/// Where a subscription stands.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// What the subscription says.
    #[serde(flatten)]
    pub status: SessionStatus,
    /// For how many seconds no control plane has confirmed what is installed: 0 while one is followed. What comes from
    /// disk is older by the time that this process was not there.
    pub age_seconds: f64,
}

impl Observer {
    /// Starts to observe, until the subscription ends. Needs a tokio runtime.
    pub fn new(status: watch::Receiver<SessionStatus>) -> Self {
        let (told, unconfirmed) = watch::channel(Some(Instant::now()));
        tokio::spawn(observe(status.clone(), told));
        Self {
            status,
            unconfirmed,
        }
    }

    /// Where the subscription stands now.
    pub fn standing(&self) -> Standing {
        let since = *self.unconfirmed.borrow();
        Standing {
            status: self.status.borrow().clone(),
            age_seconds: since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
        }
    }
}

/// Tells since when nobody confirms what is installed.
async fn observe(mut status: watch::Receiver<SessionStatus>, told: watch::Sender<Option<Instant>>) {
    loop {
        let is_confirmed = {
            let status = status.borrow_and_update();
            status.connected && !status.provisional && status.held_back.is_none()
        };
        told.send_if_modified(|since| {
            let was_confirmed = since.is_none();
            *since = match (is_confirmed, *since) {
                (true, _) => None,
                (false, Some(since)) => Some(since),
                (false, None) => Some(Instant::now()),
            };
            was_confirmed != is_confirmed
        });
        if status.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_confirms_grows_older_until_a_control_plane_does() {
        let (status, reported) = watch::channel(SessionStatus::default());
        let observer = Observer::new(reported);
        let said = async |connected, provisional, held_back: Option<&str>| {
            status.send_modify(|status| {
                status.connected = connected;
                status.provisional = provisional;
                status.held_back = held_back.map(str::to_owned);
            });
            tokio::time::sleep(Duration::from_secs(10)).await;
            observer.standing().age_seconds.round()
        };
        let ages = [
            said(false, true, None).await,
            said(true, true, None).await,
            said(true, false, None).await,
            said(true, false, Some("older")).await,
            said(false, false, None).await,
            said(true, false, None).await,
        ];
        assert_eq!(
            ages.map(|age| age.to_string()),
            ["10", "20", "0", "10", "20", "0"]
        );
    }
}
