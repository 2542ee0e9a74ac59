//! Jobs that leave their scratch directory in a bad way. That nothing of it is left is asserted of every row, when its agent leaves;
//! what lies outside must be as it was.

use std::fs;
use std::time::Duration;

use super::row::Row;

pub(super) fn rows() -> Vec<Row> {
    // Deeper than an agent may have files open, and than a path can name.
    let deep = "import os\nfor _ in range(2500): os.mkdir('d'); os.chdir('d')\nopen('f', 'w')";
    let wide = "import os\nfor i in range(10000): open(str(i), 'w')";
    let odd = "import os, socket\nos.mkfifo('pipe'); open(b'\\xff\\n*', 'w'); open('-rf', 'w')\n\
               socket.socket(socket.AF_UNIX).bind('socket'); os.symlink('nowhere', 'link'); os.link('-rf', 'twin')";
    let locked = "mkdir -p a/b/c a/d && touch a/b/c/f a/d/g && chmod 0 a/b/c/f && chmod -R 0 a && chmod 0 .";
    vec![
        Row::sh("removes_its_scratch", "rmdir $PWD"),
        Row::sh("moves_its_scratch_away", "mv $PWD DIR/moved"),
        Row::sh("puts_a_file_where_its_scratch_was", "D=$PWD; rmdir $D; echo x > $D"),
        Row::python("fills_its_scratch", wide).within(Duration::from_secs(20)),
        Row::python("digs_deep_in_its_scratch", deep).within(Duration::from_secs(20)),
        Row::python("leaves_what_is_no_file", odd),
        Row::sh("locks_its_scratch", locked),
        Row::sh("puts_a_link_where_its_scratch_was", "D=$PWD; rmdir $D; ln -s DIR/outside $D")
            .makes(|dir| {
                fs::create_dir(dir.join("outside")).unwrap();
                fs::write(dir.join("outside/precious"), "x").unwrap();
            })
            .looks(|site, _| assert!(site.agent.dir().join("outside/precious").exists())),
        Row::sh("leaves_links_that_lead_outside", "ln -s DIR/outside a; mkdir -p b; ln -s DIR/outside b/c; chmod 0 b")
            .makes(|dir| {
                fs::create_dir(dir.join("outside")).unwrap();
                fs::write(dir.join("outside/precious"), "x").unwrap();
            })
            .looks(|site, _| assert!(site.agent.dir().join("outside/precious").exists())),
    ]
}
