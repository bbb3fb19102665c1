//! Rust source as tokens, and the paths in it that begin at the crate's root.
//!
//! It knows just enough of the language: comments, text and characters are left out; braces, modules and paths are
//! understood.

/// A word or a sign, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The code of a file without comments and literals. `::` is one sign.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = end_of_literal(&chars, at);
        if end > at {
            line += chars[at..end].iter().filter(|&&c| c == '\n').count();
            at = end;
            continue;
        }
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let length = match chars[at] {
            c if is_word(&c) => chars[at..].iter().take_while(|c| is_word(c)).count(),
            ':' if chars.get(at + 1) == Some(&':') => 2,
            _ => 1,
        };
        line += usize::from(chars[at] == '\n');
        if !chars[at].is_whitespace() {
            tokens.push(Token { text: chars[at..at + length].iter().collect(), line });
        }
        at += length;
    }
    tokens
}

/// Where a comment, text or character that begins here ends; `at` itself if none does.
fn end_of_literal(chars: &[char], at: usize) -> usize {
    let starts = |text: &str| chars[at..].iter().copied().take(text.len()).eq(text.chars());
    let after = |from: usize, text: &str| {
        let text: Vec<char> = text.chars().collect();
        let found = chars[from..].windows(text.len()).position(|window| window == text);
        found.map_or(chars.len(), |found| from + found + text.len())
    };
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if starts("//") {
        return chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n);
    }
    if starts("/*") {
        return after(at + 2, "*/");
    }
    let raw = ["br", "cr", "r"].into_iter().find(|prefix| !word_before && starts(prefix));
    if let Some(prefix) = raw {
        let hashes = chars[at + prefix.len()..].iter().take_while(|&&c| c == '#').count();
        if chars.get(at + prefix.len() + hashes) == Some(&'"') {
            return after(at + prefix.len() + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    let is_lifetime = starts("'") && chars.get(at + 1) != Some(&'\\') && chars.get(at + 2) != Some(&'\'');
    match chars[at] {
        quote @ ('"' | '\'') if !is_lifetime => {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != quote {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            (end + 1).min(chars.len())
        }
        _ => at,
    }
}

/// Every path that begins at the crate's root, without `crate::`, and its line: by that word, or by so many `super`s.
/// Groups are taken apart.
pub fn root_paths(file: &str, tokens: &[Token]) -> Vec<(String, usize)> {
    let mut paths = Vec::new();
    let mut modules = Modules::of(file);
    let mut at = 0;
    while at < tokens.len() {
        modules.see(tokens, at);
        let is_path_start = at == 0 || tokens[at - 1].text != "::";
        let supers = tokens[at..].chunks(2).take_while(|pair| pair[0].text == "super" && is_sign(pair, "::")).count();
        let root = match tokens[at].text.as_str() {
            "crate" if is_sign(&tokens[at..], "::") => Some(at + 2),
            "super" if is_path_start && supers == modules.depth() => Some(at + 2 * supers),
            _ => None,
        };
        if let Some(root) = root {
            tree(tokens, root, "", &mut paths);
        }
        at += 1;
    }
    paths
}

fn is_sign(tokens: &[Token], sign: &str) -> bool {
    tokens.get(1).is_some_and(|token| token.text == sign)
}

/// Reads `a::b`, `a::{b, c::d}` or `{a, b}` from there; answers where it ends.
fn tree(tokens: &[Token], mut at: usize, before: &str, paths: &mut Vec<(String, usize)>) -> usize {
    let mut path = before.to_owned();
    let mut line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                at = tree(tokens, at, &path, paths);
                // `as name`, and the comma.
                while tokens.get(at).is_some_and(|token| !matches!(token.text.as_str(), "}" | ",")) {
                    at += 1;
                }
                at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
            }
            return at + 1;
        }
        line = token.line;
        path = if path.is_empty() { token.text.clone() } else { format!("{path}::{}", token.text) };
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    paths.push((path, line));
    at
}

/// How many modules deep a place in a file is.
struct Modules {
    of_file: usize,
    braces: usize,
    /// The braces that modules written in place opened.
    inline: Vec<usize>,
}

impl Modules {
    fn of(file: &str) -> Self {
        let module = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let is_root = matches!(module, "lib" | "main");
        // `x_tests.rs` is the module `tests` of `x`.
        let of_file = module.split('/').count() - usize::from(is_root) + usize::from(module.ends_with("_tests"));
        Self { of_file, braces: 0, inline: Vec::new() }
    }

    fn see(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                self.braces += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    self.inline.push(self.braces);
                }
            }
            "}" => {
                self.inline.pop_if(|&mut braces| braces == self.braces);
                self.braces = self.braces.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn depth(&self) -> usize {
        self.of_file + self.inline.len()
    }
}
