//go:build tools

// Package tools names what this module exists to build, so that `go mod tidy` keeps its requirements.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
