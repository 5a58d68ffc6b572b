//! Files: what is served, and what is not for all the ways to ask for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{server, statuses};
use crate::serve::http::{Folder, Http};
use crate::serve::script::play;

/// A folder that is removed at the end, with a secret beside it.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let base = std::env::temp_dir().join(format!("fibers-demo-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let root = base.join("site");
        fs::create_dir_all(root.join("sub/empty")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(root.join("index.html"), "<p>home").unwrap();
        fs::write(root.join("a b.txt"), "spaced").unwrap();
        fs::write(root.join(".hidden"), "secret").unwrap();
        fs::write(root.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(root.join("big.bin"), vec![7; 300_000]).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("index.html", root.join("in.html")).unwrap();
        symlink("round", root.join("round")).unwrap();
        Site(base)
    }

    fn server(&self) -> Http {
        Http {
            folder: Some(Folder::open(&self.0.join("site")).unwrap()),
            ..server()
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_served_and_nothing_beside_them() {
    let site = Site::new("files");
    let server = site.server();
    for (path, status, body) in [
        ("/", 200, "<p>home"),
        ("/index.html", 200, "<p>home"),
        ("/in.html", 200, "<p>home"),
        ("/a%20b.txt?query", 200, "spaced"),
        ("/sub/", 200, "<p>sub"),
        ("/sub", 301, "301 Moved Permanently\n"),
        ("/index.html/", 404, "404 Not Found\n"),
        ("/sub/empty/", 404, "404 Not Found\n"),
        ("/sub/empty", 404, "404 Not Found\n"),
        ("/none", 404, "404 Not Found\n"),
        ("/out", 404, "404 Not Found\n"),
        ("/up/secret", 404, "404 Not Found\n"),
        ("/round", 404, "404 Not Found\n"),
        ("/.hidden", 404, "404 Not Found\n"),
        ("/../secret", 404, "404 Not Found\n"),
        ("/sub/../../secret", 404, "404 Not Found\n"),
        ("/%2e%2e/secret", 404, "404 Not Found\n"),
        ("/..%2fsecret", 404, "404 Not Found\n"),
        ("/plaintext", 200, "Hello, World!"),
    ] {
        let said = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let heard = play(&server, said.as_bytes());
        assert_eq!(statuses(&heard), [status], "{path}");
        assert!(
            heard.text().ends_with(&format!("\r\n\r\n{body}")),
            "{path}: {}",
            heard.text()
        );
        assert!(!heard.text().contains("secret"), "{path}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(5_000));
    assert_eq!(statuses(&play(&server, long.as_bytes())), [404]);
    let heard = play(&server, b"GET /sub HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        heard.text().contains("\r\nLocation: /sub/\r\n"),
        "{}",
        heard.text()
    );
}

#[test]
fn a_large_file_goes_out_in_pieces_and_its_head_without_them() {
    let site = Site::new("large");
    let said = b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\nHEAD /big.bin HTTP/1.1\r\nHost: a\r\n\r\n";
    let heard = play(&site.server(), said);
    assert_eq!(statuses(&heard), [200, 200]);
    assert_eq!(
        heard.bytes.iter().filter(|byte| **byte == 7).count(),
        300_000
    );
    assert_eq!(
        heard.text().matches("Content-Length: 300000\r\n").count(),
        2
    );
    assert!((4..8).contains(&heard.writes), "{}", heard.writes);
}
