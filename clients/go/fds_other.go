//go:build !linux

package worker

import "syscall"

const getTermios = syscall.TIOCGETA

func dup2(from, to int) error { return syscall.Dup2(from, to) }
