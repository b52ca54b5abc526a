//! What becomes of a panic: the end of the process, with its place and without its data.

use std::panic::PanicHookInfo;

/// Where a panic is. Its message may quote a record, so nothing else of it is told.
pub fn place(panic: &PanicHookInfo<'_>) -> String {
    panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string)
}

/// From now on a panic in any task ends the process with the exit code of an internal error.
///
/// At once, and without closing anything: it is a broken invariant, so nothing in this process is to be trusted any
/// more, and what it leaves behind is what a `kill -9` leaves, which every start makes good.
pub fn end_the_process() {
    std::panic::set_hook(Box::new(|panic| {
        let place = place(panic);
        let policy = crate::error::Kind::Internal.policy();
        tracing::error!(panic.place = %place, "A task panicked at {place}. {}", policy.advice);
        // Lines are written by a thread of their own.
        crate::output::flush();
        std::process::exit(i32::from(policy.exit_code));
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const PANICS: &str = "KITMIRROR_TEST_PANICS";

    /// K-07, S-23. A hook is the whole process's, so the test is two: it calls itself.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_in_a_task_ends_the_process_and_tells_its_place_without_its_data() {
        if std::env::var_os(PANICS).is_some() {
            let _ = crate::telemetry::init(
                "info",
                crate::config::LogFormat::Text,
                false,
                crate::output::LogLines,
            );
            super::end_the_process();
            let record = "ann@example.org";
            let _ = tokio::spawn(async move { panic!("cannot be: {record}") }).await;
            return;
        }
        let mut again = Command::new(std::env::current_exe().expect("the path of this program"));
        again.args([
            "--exact",
            "--nocapture",
            "service::panics::tests::a_panic_in_a_task_ends_the_process_and_tells_its_place_without_its_data",
        ]);
        let ended = again.env(PANICS, "1").output().expect("this program runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("service/panics.rs:") && said.contains("report it"), "{said}");
        assert!(!said.contains("example.org"), "{said}");
    }
}
