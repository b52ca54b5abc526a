//! The way to stdout and stderr. What is written waits in a queue, in order, for a thread of its own: whoever logs is
//! never held up by a reader that is slow, stopped or gone, and the end of the program by a few seconds at most.
//! Where the system gives no such thread, everybody writes, and waits for the reader.
//!
//! `tracing-appender` has such a queue for log lines. It prints to stdout, into the results, when the queue is full at
//! the end; it counts what it dropped and does not say so; and messages that must not be dropped would need a second
//! way past it, out of order.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait: some seven thousand lines, more than a reader that is only slow lets pile up.
const WAITING: usize = 1 << 20;
/// How long messages wait for a reader of stderr that takes nothing. Within the five seconds in which a service that
/// is asked to stop is gone.
const MESSAGES_WAIT: Duration = Duration::from_secs(2);
/// The same for results on stdout, which somebody has asked for.
const RESULTS_WAIT: Duration = Duration::from_secs(10);

/// All progress bars of the process, above which lines are written.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Results.
pub(super) static STDOUT: LazyLock<Stream> =
    LazyLock::new(|| Stream::new(RESULTS_WAIT, write_result, |_| {}));

/// Why results could not be written, the first time that was so.
pub(super) static RESULTS_REFUSED: OnceLock<io::Error> = OnceLock::new();

fn write_result(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        // A reader that went away (`| head`) is no reason to fail.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(RESULTS_REFUSED.set(error)),
        _ => {}
    }
}

/// Messages and log lines.
pub(super) static STDERR: LazyLock<Stream> = LazyLock::new(|| {
    // Where there are no bars, none are held up by a reader that takes nothing.
    let has_bars = io::stderr().is_terminal();
    let write = |text: &[u8]| drop(io::stderr().lock().write_all(text));
    Stream::new(
        MESSAGES_WAIT,
        move |text| if has_bars { BARS.suspend(|| write(text)) } else { write(text) },
        |lines| {
            tracing::warn!(
                log.lost = lines,
                "{lines} log lines were lost here: they were not read as fast as they came"
            );
        },
    )
});

thread_local! {
    /// Whether this thread is the one that writes.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// A queue before a writer that may block.
pub(super) struct Stream {
    shared: Arc<Shared>,
    patience: Duration,
    /// Whether a thread takes from the queue.
    has_writer: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    write: Box<Write>,
}

type Write = dyn Fn(&[u8]) + Send + Sync;

#[derive(Default)]
struct State {
    waiting: VecDeque<Piece>,
    /// Bytes that wait.
    bytes: usize,
    /// Whether a piece is being written.
    writing: bool,
    /// Pieces written so far: what a reader that takes nothing does not change.
    written: u64,
    /// How many had been written when the reader was given up.
    given_up_at: Option<u64>,
    /// Lines lost since the last piece that found room.
    untold: u64,
    /// Lines lost so far.
    lost: u64,
}

struct Piece {
    text: Vec<u8>,
    /// Lines lost right before it.
    lost_before: u64,
}

impl State {
    /// Whether there is room. A piece that is larger than all that may wait gets it when nothing else waits.
    fn has_room(&self, text: &[u8]) -> bool {
        self.waiting.is_empty() || self.bytes + text.len() <= WAITING
    }

    fn add(&mut self, text: &[u8]) {
        self.bytes += text.len();
        self.waiting
            .push_back(Piece { text: text.to_owned(), lost_before: std::mem::take(&mut self.untold) });
    }

    fn lose(&mut self) {
        self.untold += 1;
        self.lost += 1;
    }
}

impl Stream {
    /// A queue before `write`. What is lost is told by `tell_lost`, on the writing thread, where it was lost.
    fn new(
        patience: Duration,
        write: impl Fn(&[u8]) + Send + Sync + 'static,
        tell_lost: impl Fn(u64) + Send + 'static,
    ) -> Self {
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), write: Box::new(write) });
        let writer = Arc::clone(&shared);
        // Not `thread::spawn`: its panic would be told here, in the stream that is about to be made.
        let started = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            IS_WRITER.set(true);
            writer.run(&tell_lost);
        });
        Stream { shared, patience, has_writer: started.is_ok() }
    }

    /// Whether this thread writes without a queue: the one behind it does, and all where there is none.
    fn writes_here(&self) -> bool {
        !self.has_writer || IS_WRITER.get()
    }

    /// Adds a line, or loses it where there is no room. Never waits.
    fn log(&self, line: &[u8]) {
        if self.writes_here() {
            return (self.shared.write)(line);
        }
        let mut state = self.shared.state();
        if state.has_room(line) {
            state.add(line);
            self.shared.changed.notify_all();
        } else {
            state.lose();
        }
    }

    /// Adds text that must not be lost; waits for room as long as the reader takes anything.
    pub(super) fn tell(&self, text: &[u8]) {
        if self.writes_here() {
            return (self.shared.write)(text);
        }
        let mut state = self.wait_while(|state| !state.has_room(text));
        if state.has_room(text) {
            state.add(text);
            self.shared.changed.notify_all();
        } else {
            state.lose();
        }
    }

    /// Waits until everything is written, as long as the reader takes anything.
    pub(super) fn flush(&self) {
        if !self.writes_here() {
            drop(self.wait_while(|state| state.writing || !state.waiting.is_empty() || state.untold > 0));
        }
    }

    /// Lines lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.shared.state().lost
    }

    /// Waits while something is so, until the reader has taken nothing for as long as we are patient. Once given up,
    /// it is not waited for again before it takes something.
    fn wait_while(&self, mut condition: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.shared.state();
        let (mut written, mut since) = (state.written, Instant::now());
        while condition(&state) && state.given_up_at != Some(state.written) {
            if state.written != written {
                (written, since) = (state.written, Instant::now());
            }
            let Some(left) = self.patience.checked_sub(since.elapsed()) else {
                state.given_up_at = Some(written);
                break;
            };
            self.shared.changed.wait_for(&mut state, left);
        }
        state
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Writes for as long as the process lives.
    fn run(&self, tell_lost: &dyn Fn(u64)) {
        let mut state = self.state();
        loop {
            let (text, lost) = match state.waiting.pop_front() {
                Some(piece) => (piece.text, piece.lost_before),
                None if state.untold > 0 => (Vec::new(), std::mem::take(&mut state.untold)),
                None => {
                    self.changed.wait(&mut state);
                    continue;
                }
            };
            state.bytes -= text.len();
            state.writing = true;
            drop(state);
            if lost > 0 {
                tell_lost(lost);
            }
            if !text.is_empty() {
                (self.write)(&text);
            }
            state = self.state();
            state.writing = false;
            state.written += 1;
            self.changed.notify_all();
        }
    }
}

/// Log lines on their way to stderr.
#[derive(Debug, Clone, Copy)]
pub struct LogLines;

impl MakeWriter<'_> for LogLines {
    type Writer = LogLine;

    fn make_writer(&self) -> Self::Writer {
        LogLine
    }
}

/// One log line.
#[derive(Debug)]
pub struct LogLine;

impl io::Write for LogLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Fields that are for machines only leave the blanks between them behind.
        STDERR.log(&[line.trim_ascii_end(), b"\n"].concat());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    /// A reader that takes nothing before it is let.
    #[derive(Clone, Default)]
    struct Reader(Arc<Desk>);

    #[derive(Default)]
    struct Desk {
        takes: Mutex<bool>,
        changed: Condvar,
        read: Mutex<Vec<String>>,
    }

    impl Reader {
        fn take(&self, text: &[u8]) {
            let mut takes = self.0.takes.lock();
            self.0.changed.wait_while(&mut takes, |takes| !*takes);
            drop(takes);
            self.0.read.lock().push(String::from_utf8_lossy(text).into_owned());
        }

        fn go_on(&self) {
            *self.0.takes.lock() = true;
            self.0.changed.notify_all();
        }

        fn read(&self) -> Vec<String> {
            self.0.read.lock().clone()
        }
    }

    fn stream(reader: &Reader) -> Stream {
        let (lines, losses) = (reader.clone(), reader.clone());
        Stream::new(
            SOON,
            move |text| lines.take(text),
            move |lost| losses.take(format!("{lost} lost").as_bytes()),
        )
    }

    /// K-10.
    #[test]
    fn a_reader_that_takes_nothing_holds_up_nobody_who_logs() {
        let reader = Reader::default();
        let stream = stream(&reader);
        let line = vec![b'x'; 1 << 10];
        let began = Instant::now();
        for _ in 0..100_000 {
            stream.log(&line);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(stream.shared.state().bytes <= WAITING);
        assert!(stream.lost() > 90_000);
    }

    /// K-10.
    #[test]
    fn what_was_lost_is_told_where_it_was_lost() {
        let reader = Reader::default();
        let stream = stream(&reader);
        let many = WAITING / 1000;
        let line = |n: usize| format!("{n:01000}").into_bytes();
        // The first is in the writer's hand and does not wait.
        stream.log(&line(0));
        while !stream.shared.state().writing {
            std::thread::yield_now();
        }
        for n in 1..=many + 10 {
            stream.log(&line(n));
        }
        reader.go_on();
        stream.flush();
        stream.log(b"and on");
        stream.flush();
        let read = reader.read();
        assert_eq!(read.len(), many + 3, "{:?}", read.last());
        assert!(read[..=many].iter().enumerate().all(|(n, text)| *text.as_bytes() == line(n)));
        assert_eq!(read[many + 1..], ["10 lost", "and on"]);
        assert_eq!(stream.lost(), 10);
    }

    /// K-10.
    #[test]
    fn a_message_waits_for_a_slow_reader_and_not_for_one_that_is_gone() {
        let reader = Reader::default();
        let stream = stream(&reader);
        let full = vec![b'x'; WAITING];
        stream.tell(&full);
        while !stream.shared.state().writing {
            std::thread::yield_now();
        }
        stream.tell(&full);
        let began = Instant::now();
        stream.tell(b"nobody hears it");
        stream.flush();
        stream.tell(b"nor this");
        stream.flush();
        let waited = began.elapsed();
        assert!(SOON <= waited && waited < SOON * 10, "given up once, not four times: {waited:?}");

        reader.go_on();
        while stream.shared.state().written < 2 {
            std::thread::yield_now();
        }
        stream.tell(b"the last word");
        stream.flush();
        assert_eq!(reader.read().last().unwrap(), "the last word");
    }

    /// K-05.
    #[test]
    fn without_a_thread_that_writes_everybody_does() {
        let reader = Reader::default();
        reader.go_on();
        let stream = Stream { has_writer: false, ..stream(&reader) };
        stream.log(b"a line");
        stream.tell(b"a message");
        stream.flush();
        assert_eq!(reader.read(), ["a line", "a message"]);
    }
}
