//go:build !race

package otelspool_test

const raceDetector = false
