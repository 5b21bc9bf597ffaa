// The lesson's store in Rust: lines, or RESP. The file `style` beside the program says what it
// answers; the data are lines in a file of its own folder.
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

struct Store {
    style: HashMap<String, String>,
    options: HashMap<String, String>,
    data: HashMap<String, String>,
    file: File,
}

impl Store {
    fn says(&self, name: &str, key: &str, value: &str) -> String {
        let leader = self.options.get("leader").map_or("", String::as_str);
        self.style[name].replace("{k}", key).replace("{v}", value).replace("{n}", "7").replace("{leader}", leader)
    }

    fn follows(&self) -> bool {
        self.options.get("role").map_or(false, |role| role == "follower")
    }

    fn apply(&mut self, line: &str, keep: bool) {
        match line.split_once('\t') {
            Some((key, value)) => self.data.insert(key.into(), value.into()),
            None => self.data.remove(line),
        };
        if keep && self.style["keeps"] == "yes" {
            writeln!(self.file, "{line}").expect("the data are written");
        }
    }

    fn answer(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let key = words.get(1).copied().unwrap_or("");
        let known = self.data.contains_key(key);
        match (words[0].to_lowercase().as_str(), words.get(2)) {
            ("put", _) | ("delete", _) if self.follows() => self.says("refusal", key, ""),
            ("put", Some(value)) => {
                self.apply(&format!("{key}\t{value}"), true);
                self.says("put", key, value)
            }
            ("get", _) if known => self.says("get", key, &self.data[key]),
            ("get", _) => self.says("missing", key, ""),
            ("delete", _) if known => {
                self.apply(key, true);
                self.says("delete", key, "")
            }
            ("delete", _) => self.says("absent", key, ""),
            _ => "ERR unknown command".into(),
        }
    }

    fn resp(&mut self, words: &[String]) -> String {
        let key = words.get(1).map_or("", String::as_str);
        match words[0].to_uppercase().as_str() {
            "SET" | "DEL" if self.follows() => "-READONLY this node is a replica\r\n".into(),
            "SET" if words.len() == 3 => {
                self.apply(&format!("{key}\t{}", words[2]), true);
                "+OK\r\n".into()
            }
            "GET" => match self.data.get(key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".into(),
            },
            "DEL" => {
                let known = self.data.contains_key(key);
                if known {
                    self.apply(key, true);
                }
                format!(":{}\r\n", known as u8)
            }
            _ => "-ERR unknown command\r\n".into(),
        }
    }
}

fn serve_lines(store: &Mutex<Store>, client: TcpStream) -> std::io::Result<()> {
    let mut out = client.try_clone()?;
    for line in BufReader::new(client).lines() {
        let reply = store.lock().unwrap().answer(&line?);
        out.write_all(format!("{reply}\n").as_bytes())?;
    }
    Ok(())
}

fn serve_resp(store: &Mutex<Store>, client: TcpStream) -> std::io::Result<()> {
    let mut out = client.try_clone()?;
    let mut input = BufReader::new(client);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let Some(count) = line.strip_prefix('*').and_then(|text| text.trim().parse::<usize>().ok()) else {
            return out.write_all(b"-ERR protocol error\r\n");
        };
        let mut words = Vec::new();
        for _ in 0..count {
            line.clear();
            input.read_line(&mut line)?;
            let Ok(size) = line.trim().trim_start_matches('$').parse::<usize>() else {
                return out.write_all(b"-ERR protocol error\r\n");
            };
            let mut word = vec![0; size + 2];
            input.read_exact(&mut word)?;
            words.push(String::from_utf8_lossy(&word[..size]).into_owned());
        }
        if words.is_empty() {
            return Ok(());
        }
        let reply = store.lock().unwrap().resp(&words);
        out.write_all(reply.as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn main() {
    let mut options = HashMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_string(), value.to_string()),
            None => (word.clone(), words.next().unwrap_or_default()),
        };
        options.insert(name.trim_start_matches('-').to_string(), value);
    }
    let here = std::env::current_exe().unwrap();
    let text = fs::read_to_string(here.parent().unwrap().join("style")).unwrap();
    let style: HashMap<_, _> = text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect();
    let path = format!("{}/data", options.get("data-dir").map_or(".", String::as_str));
    let old = fs::read_to_string(&path).unwrap_or_default();
    let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let mut store = Store { style, options, data: HashMap::new(), file };
    if store.style["keeps"] == "yes" {
        old.lines().for_each(|line| store.apply(line, false));
    }
    let port = store.options["port"].clone();
    println!("[node] starting as {} on port {port}", if store.follows() { "FOLLOWER" } else { "LEADER" });
    let serve = if store.style["protocol"] == "resp" { serve_resp } else { serve_lines };
    let store = Arc::new(Mutex::new(store));
    for client in TcpListener::bind(format!("127.0.0.1:{port}")).unwrap().incoming().flatten() {
        let store = Arc::clone(&store);
        std::thread::spawn(move || serve(&store, client));
    }
}
