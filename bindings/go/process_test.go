package spanspool_test

import (
	"bufio"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spanspool.example/spanspool"
)

// child is this test program, to do what the word says.
func child(t *testing.T, word, dir string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0], dir)
	command.Env = append(os.Environ(), childDoes+"="+word)
	command.Stderr = os.Stderr
	return command
}

func TestWhatAKilledProcessAcceptedArrives(t *testing.T) {
	dir := t.TempDir()
	process := child(t, "enqueue", dir)
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	var accepted []string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		// The last line may have been cut by the kill.
		if line := lines.Text(); strings.HasSuffix(line, "}") {
			accepted = append(accepted, line)
		}
		if len(accepted) == 1000 {
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := process.Wait(); err == nil || len(accepted) < 1000 {
		t.Fatalf("the child ended by itself: %v, %q", err, accepted)
	}

	in := newIngest(t, nil)
	client := open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url})
	if err := client.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	// What the child had no time to print came as well.
	got := in.items()
	if len(got) < len(accepted) || !slices.Equal(got[:len(accepted)], accepted) {
		t.Fatalf("%d were accepted, %d came", len(accepted), len(got))
	}
	for n, text := range got {
		if text != item("killed", n) {
			t.Fatalf("number %d is %q", n, text)
		}
	}
	t.Logf("%d printed by a child that was killed, %d delivered by the next process", len(accepted), len(got))
}

func TestALibraryOfAnotherVersionIsRefused(t *testing.T) {
	if static {
		t.Skip("a static program contains the library that it was built with")
	}
	shim := filepath.Join(t.TempDir(), "other_version.so")
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	made, err := exec.Command(compiler, "-shared", "-fPIC", "-o", shim, "testdata/other_version.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, made)
	}
	said := func(variables ...string) string {
		process := child(t, "open", t.TempDir())
		process.Env = append(process.Env, variables...)
		output, err := process.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(output)
	}
	if text := said(); text != "open <nil>\n" {
		t.Errorf("without it: %s", text)
	}
	text := said("LD_PRELOAD=" + shim)
	if !strings.Contains(text, "version "+spanspool.Version()) || !strings.Contains(text, "version 0.9.0") {
		t.Errorf("with it: %s", text)
	}
}

func TestTheLibraryIsLinkedAsTheTagSays(t *testing.T) {
	program, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	loaded := slices.ContainsFunc(libraries, func(name string) bool { return strings.HasPrefix(name, "libspanspool.so") })
	if loaded == static {
		t.Errorf("static: %t, loaded: %q", static, libraries)
	}
}
