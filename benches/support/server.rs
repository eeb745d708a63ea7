//! Something that answers every request with a small page, as fast as one thread can.

use std::io::{Read, Write};
use std::net::TcpListener;

/// Answers until the process ends.
pub fn answer(listener: &TcpListener) -> ! {
    let page = "<!doctype html><title>Storefront</title>";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        // Who connects and says nothing is not waited for.
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(200)));
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(answer.as_bytes());
    }
}
