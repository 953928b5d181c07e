() => {
  // Gradio's editor opens without a tool, and has no option for one.
  let looks = 0;
  const timer = setInterval(() => {
    document.querySelectorAll('.drawing-canvas:not([data-pen])').forEach(editor => {
      const brush = editor.querySelector('button:is([aria-label="Brush"], [data-english="Brush"])');
      if (!brush?.offsetParent || !editor.querySelector('canvas')) return;
      editor.dataset.pen = 'taken';
      brush.click();
    });
    if (++looks > 40) clearInterval(timer);
  }, 150);
}
