//! The one call that is not Kit's: it tells a monitor that a cycle is complete. Its address is a secret, and the
//! status of the answer is all that is looked at.

use std::time::Duration;

use super::transport::{client, stage};
use crate::config::Secret;
use crate::error::Result;

/// A monitor that is slower than this has not heard us.
const WITHIN: Duration = Duration::from_secs(10);

/// Where to call.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    http: reqwest::Client,
    url: Secret,
}

impl Heartbeat {
    /// Prepares the call; nothing is sent yet.
    ///
    /// # Errors
    /// `Internal` when the TLS stack cannot be set up.
    pub fn new(url: Secret) -> Result<Self> {
        Ok(Heartbeat { http: client(url.expose())?, url })
    }

    /// Calls once. What went wrong is told in words that name no address.
    ///
    /// # Errors
    /// Why it was not heard.
    pub async fn beat(&self) -> Result<(), String> {
        let answer = self.http.get(self.url.expose()).timeout(WITHIN).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
            Err(error) => Err(stage(&error).to_owned()),
        }
    }
}
