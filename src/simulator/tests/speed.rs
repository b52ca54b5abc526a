//! How fast a million rows are made. Run with `--release -- --ignored --nocapture`.

use std::time::Instant;

use super::{encoded, still};
use crate::simulator::AccountPlan;

#[test]
#[ignore = "measures; only a release build says anything"]
fn a_million_rows_take_less_than_two_seconds() {
    let simulator = still(AccountPlan::large());
    let path = "/v4/subscribers?status=all&per_page=1000";
    let started = Instant::now();
    let (mut rows, mut bytes, mut cursor) = (0, 0, String::new());
    loop {
        let (status, body) = simulator.ask(&format!("{path}{cursor}"));
        assert_eq!(status, 200);
        rows += simulator.requests().pop().and_then(|request| request.rows).expect("rows");
        simulator.clear_requests();
        bytes += body.len();
        if body.contains("\"has_next_page\":false") {
            break;
        }
        let end = body.rsplit("\"end_cursor\":\"").next().and_then(|rest| rest.split('"').next());
        cursor = format!("&after={}", encoded(end.expect("a cursor")));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{rows} rows, {} MB in {seconds:.2} s: {:.0} rows/s", bytes >> 20, rows as f64 / seconds);
    assert_eq!(rows, 1_000_000);
    assert!(seconds < 2.0);
}
