//! A process that serves alone, and calls to it.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{Place, cluster::until};

/// How long an answer may take at most.
const LONGEST: Duration = Duration::from_secs(60);

/// A process that serves alone; it is killed with this.
pub struct Serving {
    pub child: Child,
    /// Where it answers over HTTP; empty where it does not.
    pub address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Starts it in a place's `data`; it says what it does in `serve.log`.
    pub fn start(place: &Place, set_up: impl FnOnce(&mut Command)) -> Self {
        let log = place.path("serve.log");
        let mut command = place.millrace();
        command.args(["serve", "--data", "data"]);
        set_up(&mut command);
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let said = || std::fs::read_to_string(&log).unwrap();
        until("it to serve", || said().contains("serving"));
        let said = said();
        let address = said.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Self { child, address: address.unwrap_or_default().to_owned() }
    }

    /// The status and the body of an answer; a body makes the request a POST of JSON, unless headers say otherwise.
    pub fn call(&self, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> (u16, Value) {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONGEST)).build();
        let agent = ureq::Agent::new_with_config(config);
        let url = format!("http://{}{path}", self.address);
        let mut answer = match body {
            None => {
                let with = |request: ureq::RequestBuilder<_>, (name, value): &(&str, &str)| {
                    request.header(*name, *value)
                };
                headers.iter().fold(agent.get(&url), with).call().unwrap()
            }
            Some(body) => {
                let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                let json = [("Content-Type", "application/json")];
                let more = if is_typed { &[][..] } else { &json[..] };
                let with = |request: ureq::RequestBuilder<_>, (name, value): &(&str, &str)| {
                    request.header(*name, *value)
                };
                headers.iter().chain(more).fold(agent.post(&url), with).send(body).unwrap()
            }
        };
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.call(path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(path, &[], Some(&body.to_string()))
    }

    /// How an execution ended, if it has.
    pub fn verdict(&self, id: &str, headers: &[(&str, &str)]) -> Option<Value> {
        let (status, state) = self.call(&format!("/v1/executions/{id}"), headers, None);
        let has_ended = ["succeeded", "failed", "cancelled"].contains(&state["state"].as_str().unwrap_or(""));
        (status == 200 && has_ended).then_some(state)
    }

    /// How an execution ended.
    pub fn ended(&self, id: &str) -> Value {
        self.ended_for(id, &[])
    }

    /// The same, as somebody sees it who calls with these headers.
    pub fn ended_for(&self, id: &str, headers: &[(&str, &str)]) -> Value {
        let mut found = None;
        until("the execution to end", || {
            found = self.verdict(id, headers);
            found.is_some()
        });
        found.unwrap()
    }
}

/// The URL of a file in a place.
pub fn url(place: &Place, name: &str) -> String {
    format!("file://{}", place.path(name).display())
}
