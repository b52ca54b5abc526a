//! The real program as a process: in the folder of a mirror, with nothing in its environment but what a
//! test puts there.

use super::mirror::{Api, Mirror};
use kitmirror::simulator::{ACCESS_TOKEN, Serving, V3_SECRET, V4_KEY};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Longer than any of these processes may take; one that hangs fails its test instead of holding it up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the program is called.
#[derive(Debug, Clone)]
pub struct Binary {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; for one that was killed, minus the number of the signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A process under way. Killed when dropped.
pub struct Running {
    child: Child,
    since: Instant,
    stdout: Said,
    stderr: Said,
}

/// A process under way to which nobody listens yet. Killed when dropped.
pub struct Unheard {
    child: Child,
    since: Instant,
}

/// What a process has printed so far.
struct Said {
    bytes: Arc<Mutex<Vec<u8>>>,
    to_its_end: JoinHandle<()>,
}

impl Said {
    fn from(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let so_far = Arc::clone(&bytes);
        let mut pipe = pipe.expect("it is piped");
        let to_its_end = tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece).await {
                so_far.lock().extend(&piece[..count]);
            }
        });
        Said { bytes, to_its_end }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    async fn all(&mut self) -> String {
        (&mut self.to_its_end).await.expect("it can be read");
        self.so_far()
    }
}

impl Binary {
    /// In that folder, without any setting.
    pub fn bare(folder: &Path) -> Self {
        let path = ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
        Binary { folder: folder.to_owned(), environment: vec![path] }
    }

    /// With the settings of a mirror.
    pub fn of(mirror: &Mirror, kit: &Serving, api: Api) -> Self {
        let mut binary = Binary::bare(mirror.folder());
        binary.environment.extend(mirror.environment(kit, api));
        binary
    }

    /// With nothing but where a mirror is.
    pub fn at(mirror: &Mirror) -> Self {
        let mut binary = Binary::bare(mirror.folder());
        binary.environment.extend(mirror.place());
        binary
    }

    /// With that variable, in place of an earlier value.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Without that variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).end().await
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kitmirror"));
        command.args(arguments);
        self.spawn(command)
    }

    /// Starts it from a shell that sets something up first, such as `umask 000`.
    pub fn start_after(&self, setup: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new("sh");
        let script = format!("{setup}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_kitmirror")).args(arguments);
        self.spawn(command)
    }

    /// Starts it from a shell that sets something up first, and does not listen to it yet.
    pub fn start_unheard(&self, setup: &str, arguments: &[&str]) -> Unheard {
        let mut command = Command::new("sh");
        let script = format!("{setup}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_kitmirror")).args(arguments);
        self.launch(command)
    }

    fn spawn(&self, command: Command) -> Running {
        self.launch(command).listened_to()
    }

    fn launch(&self, mut command: Command) -> Unheard {
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Unheard { child: command.spawn().expect("the program starts"), since: Instant::now() }
    }
}

impl Unheard {
    /// From now on what it says is read.
    fn listened_to(mut self) -> Running {
        let (stdout, stderr) = (Said::from(self.child.stdout.take()), Said::from(self.child.stderr.take()));
        Running { child: self.child, since: self.since, stdout, stderr }
    }

    /// Waits for its end and reads what it said only then: its pipes are full when they are full.
    pub async fn end_unread(mut self) -> Ran {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the process ends in time").expect("its end can be waited for");
        let took = self.since.elapsed();
        Ran { took, ..self.listened_to().end().await }
    }

    /// Waits for its end; nobody listens: its pipes are closed at the other side.
    pub async fn end_closed(mut self) -> Ran {
        drop((self.child.stdout.take(), self.child.stderr.take()));
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("the process ends in time").expect("its end can be waited for");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        let (stdout, stderr) = (String::new(), String::new());
        Ran { code: status.code().unwrap_or(-signal), stdout, stderr, took: self.since.elapsed() }
    }

    /// Waits for its end and begins to read what it says after a while.
    pub async fn end_heard_after(self, pause: Duration) -> Ran {
        tokio::time::sleep(pause).await;
        self.listened_to().end().await
    }
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Sends it a signal by name: `TERM`, `INT`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.id().to_string()];
        let sent = std::process::Command::new("kill").args(arguments).status();
        assert!(sent.expect("kill can be called").success(), "signal {name}");
    }

    /// Ends it without warning and waits until it is gone; whether it still ran.
    pub async fn kill(mut self) -> bool {
        let ran = self.child.try_wait().expect("its state can be read").is_none();
        self.child.kill().await.expect("it can be killed");
        ran
    }

    /// Waits until it has said something on stderr.
    pub async fn has_said(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.stderr.so_far().contains(text) {
            let ended = self.child.try_wait().expect("its state can be read");
            assert!(
                ended.is_none() && Instant::now() < until,
                "never said {text:?}:\n{}",
                self.stderr.so_far()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ran {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else { panic!("it does not end:\n{}", self.stderr.so_far()) };
        let status = status.expect("its end can be seen");
        let took = self.since.elapsed();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        let (stdout, stderr) = (self.stdout.all().await, self.stderr.all().await);
        tells_no_secret(&stdout, &stderr);
        Ran { code: status.code().unwrap_or(-signal), stdout, stderr, took }
    }

    /// Asks it to stop and waits for its end, which must come within the promised five seconds.
    pub async fn stop(self, signal: &str) -> Ran {
        self.signal(signal);
        let asked_at = Instant::now();
        let ran = self.end().await;
        assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}:\n{}", asked_at.elapsed(), ran.stderr);
        ran
    }

    /// Waits for its end; with the most memory it ever had resident, in KiB.
    pub async fn end_with_peak(self) -> (Ran, u64) {
        let status = format!("/proc/{}/status", self.id());
        let watch = tokio::spawn(async move {
            let mut peak = 0;
            while let Ok(text) = tokio::fs::read_to_string(&status).await {
                // A process that has ended and was not collected yet has no such line any more.
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let Some(line) = line else { break };
                peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(peak);
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            peak
        });
        let ran = self.end().await;
        (ran, watch.await.expect("the watch ends"))
    }
}

/// S-03, S-10, O7: whatever a test is about, no process tells a credential, nor anybody's address where messages go.
#[track_caller]
fn tells_no_secret(stdout: &str, stderr: &str) {
    // The simulator tells its own, on purpose.
    let simulated = stdout.contains("simulate");
    for secret in [V3_SECRET, V4_KEY, ACCESS_TOKEN].into_iter().filter(|_| !simulated) {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "a credential in\n{stdout}\n{stderr}");
    }
    for domain in ["@example.com", "@example.net", "@mail.example"] {
        assert!(!stderr.contains(domain), "an address in\n{stderr}");
    }
}

impl Ran {
    /// Panics unless it ended with that code.
    #[track_caller]
    pub fn ended_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless stderr holds every one of these texts.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.stderr);
        }
        self
    }

    /// Panics unless it told one error, in one line, with advice in the next, and nothing else on stdout.
    #[track_caller]
    pub fn tells_one_error(&self) {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        let advice = self.stderr.lines().skip_while(|line| !line.starts_with("error: ")).nth(1);
        assert!(advice.is_some_and(|line| line.starts_with("  ") && line.ends_with('.')), "{}", self.stderr);
        assert_eq!(self.stdout, "");
    }

    /// All it printed.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// What it printed as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }
}

/// Names and sizes of all that is in a folder.
pub fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().display().to_string(), entry.metadata().expect("its data").len()))
        .collect();
    all.sort();
    all
}
