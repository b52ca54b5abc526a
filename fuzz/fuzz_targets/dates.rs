#![no_main]

use kitmirror::fuzzing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::in_time(fuzzing::dates, data));
