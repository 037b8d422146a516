import { chromium } from 'playwright';
import { buildPage, servePage } from './examples/digits/serve.mjs';
await buildPage();
const s = await servePage(0);
const b = await chromium.launch({ executablePath:'/usr/bin/chromium', args:['--no-sandbox','--enable-unsafe-webgpu','--use-webgpu-adapter=swiftshader','--disable-background-networking','--disable-component-update','--disable-sync','--no-first-run','--disable-quic']});
for (const [name, opts] of [['desktop-light',{viewport:{width:1280,height:900},colorScheme:'light'}],['desktop-dark',{viewport:{width:1280,height:900},colorScheme:'dark'}],['phone-light',{viewport:{width:360,height:740},deviceScaleFactor:2,hasTouch:true,isMobile:true,colorScheme:'light'}],['phone-dark',{viewport:{width:360,height:740},deviceScaleFactor:2,hasTouch:true,isMobile:true,colorScheme:'dark'}]]) {
  const c = await b.newContext(opts); const p = await c.newPage();
  p.on('console', m=>console.log(name,'console',m.type(),m.text())); p.on('pageerror',e=>console.log(name,'pageerror',e)); p.on('requestfailed',r=>console.log('failed',r.url()));
  await p.goto(s.url); await p.waitForFunction(()=>document.body.dataset.firstResult, null, {timeout:20000}).catch(e=>console.log(e.message));
  const first = await p.evaluate(()=>document.body.dataset.firstResult);
  const warm=[]; for(let i=0;i<5;i++){ await p.reload(); await p.waitForFunction(()=>document.body.dataset.firstResult); warm.push(await p.evaluate(()=>document.body.dataset.firstResult)); }
  console.log(name, 'cold', first, 'warm', warm.join(' '), await p.evaluate(()=>[crossOriginIsolated, JSON.stringify(document.body.dataset), document.documentElement.scrollWidth, document.querySelector('#notice').textContent, document.querySelectorAll('option').length].join('|')));
  await p.waitForTimeout(2500);
  console.log(await p.evaluate(()=>[...document.querySelectorAll('option')].map(o=>o.text+' '+o.disabled).join('|')));
  await p.screenshot({path:`/tmp/page/${name}.png`, fullPage:true});
  await c.close();
}
await b.close(); await s.close();
